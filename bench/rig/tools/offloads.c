/* Switches all that a card does for its host's TCP on or off: checksums, segmentation, and merging what arrives. */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tool.h"

/* Segmentation needs checksums, and those need scatter-gather: off from the top, on from the bottom. */
static const uint32_t COMMANDS[] = { ETHTOOL_SGRO, ETHTOOL_SGSO,    ETHTOOL_STSO,
				     ETHTOOL_SSG,  ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM };
#define COMMAND_COUNT ((int)(sizeof(COMMANDS) / sizeof(COMMANDS[0])))

static void set(int fd, const char *interface, uint32_t command, uint32_t value)
{
	struct ethtool_value data = { .cmd = command, .data = value };
	struct ifreq request = { .ifr_data = (char *)&data };

	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	/* A card may lack one of them. */
	if (ioctl(fd, SIOCETHTOOL, &request) < 0 && errno != EOPNOTSUPP)
		fail("SIOCETHTOOL");
}

int main(int count, char **words)
{
	int fd = (int)checked(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	int on;

	if (count != 3)
		usage("offloads INTERFACE on|off");
	on = !strcmp(words[2], "on");
	for (int i = 0; i < COMMAND_COUNT; i++)
		set(fd, words[1], COMMANDS[on ? COMMAND_COUNT - 1 - i : i], (uint32_t)on);
	say("{\"type\":\"result\"}");
	return 0;
}
