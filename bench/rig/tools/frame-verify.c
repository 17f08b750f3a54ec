/*
 * Receives the numbered frames of one run through a TPACKET_V3 ring and says what became of them: how many came, which
 * were missing, late (behind a later one) or doubled, and when the kernel saw the first and the last one. Ends when all
 * have come and nothing more follows, or when standard input ends and nothing more follows.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "tool.h"

#define BLOCK_BYTES (1u << 20)
/* A block holds this many frames at least; there are never more than BLOCKS_MAX. */
#define FRAMES_PER_BLOCK 500
#define BLOCKS_MIN 8
#define BLOCKS_MAX 128
#define RETIRE_MS 4
#define QUIET_MS 40
#define EXPECTED_MAX (1 << 24)

struct verdict {
	uint32_t run;
	uint64_t expected;
	uint64_t frames;
	uint64_t unique;
	uint64_t duplicates;
	uint64_t late;
	uint64_t gaps;    /* how often one or more numbers were jumped over */
	uint64_t foreign; /* of another run, or with a number that nobody sent */
	uint64_t bytes;
	int64_t highest;
	uint64_t first_ns;
	uint64_t last_ns;
};

static uint64_t seen[EXPECTED_MAX / 64];
static uint64_t realtime_offset_ns;
static unsigned blocks;

static uint32_t get32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return ntohl(value);
}

static int open_ring(const char *interface, unsigned char **ring)
{
	int fd = (int)checked(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "socket");
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = blocks,
		.tp_frame_size = 2048,
		.tp_frame_nr = blocks * (BLOCK_BYTES / 2048),
		.tp_retire_blk_tov = RETIRE_MS,
	};
	int version = TPACKET_V3;

	checked(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)), "TPACKET_V3");
	checked(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)), "PACKET_RX_RING");
	*ring = mmap(NULL, (size_t)blocks * BLOCK_BYTES, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, fd, 0);
	if (*ring == MAP_FAILED)
		fail("mmap");
	address.sll_ifindex = (int)if_nametoindex(interface);
	if (address.sll_ifindex == 0)
		fail(interface);
	address.sll_protocol = htons(ETHERTYPE_TEST);
	checked(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	return fd;
}

static void take(struct verdict *verdict, const unsigned char *frame, uint32_t length, uint64_t at_ns)
{
	uint64_t sequence, bit;

	if (length < FRAME_BYTES_MIN || get32(frame + RUN_OFFSET) != verdict->run ||
	    get32(frame + SEQUENCE_OFFSET) >= verdict->expected) {
		verdict->foreign++;
		return;
	}
	sequence = get32(frame + SEQUENCE_OFFSET);
	bit = 1ull << (sequence % 64);
	if (verdict->frames++ == 0)
		verdict->first_ns = at_ns;
	verdict->last_ns = at_ns;
	verdict->bytes += length;
	if (seen[sequence / 64] & bit) {
		verdict->duplicates++;
		return;
	}
	seen[sequence / 64] |= bit;
	verdict->unique++;
	if ((int64_t)sequence < verdict->highest) {
		verdict->late++;
		return;
	}
	if ((int64_t)sequence > verdict->highest + 1)
		verdict->gaps++;
	verdict->highest = (int64_t)sequence;
}

static void take_block(struct verdict *verdict, struct tpacket_block_desc *block)
{
	unsigned char *at = (unsigned char *)block + block->hdr.bh1.offset_to_first_pkt;

	for (uint32_t i = 0; i < block->hdr.bh1.num_pkts; i++) {
		struct tpacket3_hdr *header = (struct tpacket3_hdr *)at;
		uint64_t real_ns = header->tp_sec * NS_PER_S + header->tp_nsec;

		take(verdict, at + header->tp_mac, header->tp_snaplen, real_ns - realtime_offset_ns);
		at += header->tp_next_offset;
	}
}

/* Takes all blocks that the kernel has handed over. Returns how many. */
static unsigned take_ready(struct verdict *verdict, unsigned char *ring, unsigned *next)
{
	unsigned taken = 0;

	for (;; taken++) {
		unsigned char *start = ring + (size_t)*next * BLOCK_BYTES;
		struct tpacket_block_desc *block = (struct tpacket_block_desc *)start;

		if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			return taken;
		take_block(verdict, block);
		__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		*next = (*next + 1) % blocks;
	}
}

static void receive(struct verdict *verdict, int fd, unsigned char *ring)
{
	struct pollfd wait[] = { { .fd = fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	uint64_t quiet_since = now_ns();
	unsigned next = 0;

	for (;;) {
		int ending = wait[1].fd < 0 || verdict->unique >= verdict->expected;

		poll(wait, 2, ending ? QUIET_MS / 4 : 100);
		if (take_ready(verdict, ring, &next) > 0)
			quiet_since = now_ns();
		else if (ending && now_ns() - quiet_since > QUIET_MS * NS_PER_MS)
			return;
		if (wait[1].fd >= 0 && wait[1].revents != 0 && asked_to_end(0)) {
			wait[1].fd = -1;
			quiet_since = now_ns();
		}
	}
}

int main(int count, char **words)
{
	struct verdict verdict = { .highest = -1 };
	struct tpacket_stats_v3 statistics = { 0 };
	socklen_t length = sizeof(statistics);
	unsigned char *ring;
	int fd;

	if (count != 4)
		usage("frame-verify INTERFACE RUN EXPECTED");
	verdict.run = (uint32_t)number(words[2], 0, UINT32_MAX);
	verdict.expected = (uint64_t)number(words[3], 1, EXPECTED_MAX);
	blocks = BLOCKS_MIN + (unsigned)(verdict.expected / FRAMES_PER_BLOCK);
	if (blocks > BLOCKS_MAX)
		blocks = BLOCKS_MAX;
	fd = open_ring(words[1], &ring);
	realtime_offset_ns = clock_ns(CLOCK_REALTIME) - now_ns();
	say_ready();
	receive(&verdict, fd, ring);
	checked(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &length), "statistics");
	say("{\"type\":\"result\",\"frames\":%lu,\"unique\":%lu,\"missing\":%lu,\"gaps\":%lu,\"late\":%lu,"
	    "\"duplicates\":%lu,\"foreign\":%lu,\"bytes\":%lu,\"firstNs\":%lu,\"lastNs\":%lu,\"unseen\":%u}",
	    verdict.frames, verdict.unique, verdict.expected - verdict.unique, verdict.gaps, verdict.late,
	    verdict.duplicates, verdict.foreign, verdict.bytes, verdict.first_ns, verdict.last_ns,
	    statistics.tp_drops);
	return 0;
}
