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
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How long a wait without ownership lasts at most: the loop around it looks again 2000 times per second. */
#define BORROWED_WAIT_NS 500000L
#define NS_PER_S 1000000000L

typedef int wait_function(pthread_cond_t *, pthread_mutex_t *);
typedef int timed_wait_function(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

static wait_function *libc_wait;
static timed_wait_function *libc_timed_wait;

__attribute__((constructor)) static void find_libc(void)
{
    /* The unversioned symbols are those of the old, incompatible condition variable. */
    libc_wait = (wait_function *)dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    libc_timed_wait = (timed_wait_function *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!libc_wait || !libc_timed_wait)
        abort();
}

static struct timespec shortly(void)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += BORROWED_WAIT_NS;
    at.tv_sec += at.tv_nsec / NS_PER_S;
    at.tv_nsec %= NS_PER_S;
    return at;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static __thread pid_t self;
    int error;

    if (!self)
        self = gettid();
    if (mutex->__data.__owner == self)
        return libc_wait(condition, mutex);
    error = pthread_mutex_lock(mutex);
    if (error)
        return error;
    struct timespec until = shortly();
    libc_timed_wait(condition, mutex, &until);
    return pthread_mutex_unlock(mutex);
}
