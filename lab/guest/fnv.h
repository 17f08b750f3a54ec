/* FNV-1a, 64 bits: the digest of the sink and the link of the record chain. fnv.ts is its twin. */
#ifndef FNV_H
#define FNV_H
#include <stddef.h>
#include <stdint.h>

#define FNV_START 0xcbf29ce484222325u

static inline uint64_t fnv_add(uint64_t hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}
#endif
