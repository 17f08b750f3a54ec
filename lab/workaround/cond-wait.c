/*
 * Workaround, for the test bed only: lets QEMU take COLO checkpoints under TCG (software emulation). KVM does not need
 * it and must not get it. Loaded with LD_PRELOAD.
 *
 * COLO's migration thread saves guest memory without holding QEMU's big lock. Under TCG that path has to run work on
 * the virtual CPUs' threads and waits for it with pthread_cond_wait(&done, &big_lock). The thread does not own the
 * mutex that it hands in, so glibc's wait ends by locking it for a thread that will never unlock it, and the virtual
 * machine hangs at a random checkpoint.
 *
 * So: a thread that waits with a mutex of its own waits as always. Any other one takes the mutex first, waits for a
 * short while and gives the mutex back, so that it leaves as it came. A wait that ends early is a spurious wake-up,
 * which POSIX allows and every caller's loop expects.
 *
 * The same thread queues its work and wakes the virtual CPU's thread without the lock, so the wake-up can fall between
 * that thread's look at its queue and its sleep, and is lost: the virtual machine hangs while it is stopped. So on a
 * mutex that was ever borrowed, its owners do not sleep for ever either: they look again after a few milliseconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How long a wait without ownership lasts at most: the loop around it looks again 2000 times per second. */
#define BORROWED_WAIT_NS 500000L
/* How long an owner of a borrowed mutex sleeps at most. */
#define OWNED_WAIT_NS 5000000L
#define NS_PER_S 1000000000L

typedef int wait_function(pthread_cond_t *, pthread_mutex_t *);
typedef int timed_wait_function(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

static wait_function *libc_wait;
static timed_wait_function *libc_timed_wait;
/* QEMU's big lock, once it was borrowed. */
static pthread_mutex_t *_Atomic borrowed;

__attribute__((constructor)) static void find_libc(void)
{
    /* The unversioned symbols are those of the old, incompatible condition variable. */
    libc_wait = (wait_function *)dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    libc_timed_wait = (timed_wait_function *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!libc_wait || !libc_timed_wait)
        abort();
}

static struct timespec in_ns(long ns)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += ns;
    at.tv_sec += at.tv_nsec / NS_PER_S;
    at.tv_nsec %= NS_PER_S;
    return at;
}

/* A wait that ends by time is a spurious wake-up to the caller. */
static void wait_at_most(pthread_cond_t *condition, pthread_mutex_t *mutex, long ns)
{
    struct timespec until = in_ns(ns);

    libc_timed_wait(condition, mutex, &until);
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static __thread pid_t self;
    int error;

    if (!self)
        self = gettid();
    if (mutex->__data.__owner == self) {
        if (mutex != borrowed)
            return libc_wait(condition, mutex);
        wait_at_most(condition, mutex, OWNED_WAIT_NS);
        return 0;
    }
    error = pthread_mutex_lock(mutex);
    if (error)
        return error;
    borrowed = mutex;
    wait_at_most(condition, mutex, BORROWED_WAIT_NS);
    return pthread_mutex_unlock(mutex);
}
