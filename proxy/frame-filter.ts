/**
 * The filters that part the frames of an interface between two packet sockets: small ones that are whole, and all
 * others, that is long ones and those with segmentation offload, whatever their length.
 *
 * The parting is not for speed alone. A frame whose kind of offload a packet socket cannot describe (UDP fragmentation,
 * which any guest may ask for) blocks a TPACKET_V2 ring with vnet headers for ever: tpacket_rcv() of Linux 5.6 to 6.18
 * marks the slot as taken before it fails. So no frame with offload may come near the ring. Classic BPF cannot see
 * offload; eBPF can (`gso_size` of struct __sk_buff, Linux 5.7).
 */
import { CurlingError } from '../common/errors.ts';
import { NativeMemory } from './native-memory.ts';
import { ERRNO, errno, errnoName, syscall } from './syscalls.ts';

/** Numbers of bpf(2). */
const SYS_BPF: Partial<Record<NodeJS.Architecture, number>> = { x64: 321, arm64: 280 };
/** include/uapi/linux/bpf.h */
const BPF_PROG_LOAD = 5;
const BPF_PROG_TYPE_SOCKET_FILTER = 1;
const LOAD_WORD = 0x61;
const JUMP_NOT_EQUAL = 0x55;
const JUMP_GREATER = 0x25;
const MOVE = 0xb7;
const EXIT = 0x95;
/** Offsets in struct __sk_buff. */
const LENGTH_AT = 0;
const GSO_SIZE_AT = 176;
/** A socket filter's answer: how many bytes of the frame to take, more than any has. */
const WHOLE = 0x7fffffff;

const INSTRUCTION_BYTES = 8;
const ATTRIBUTE_BYTES = 64;
const LICENSE_AT = 256;

/**
 * Loads a filter for `SO_ATTACH_BPF`.
 * @param kind `small`: takes frames of up to `lengthMax` bytes without offload; `other`: takes the others.
 * @returns Its descriptor, to be closed.
 * @throws CurlingError CURLING_NOT_ROOT when the kernel refuses it to this process, CURLING_DATAPATH.
 */
export function loadFrameFilter(kind: 'small' | 'other', lengthMax: number): number {
  const number = SYS_BPF[process.arch];
  if (number === undefined) {
    const text = `curling-proxy runs on x86-64 and arm64, this is ${process.arch}`;
    throw new CurlingError('CURLING_DATAPATH', text);
  }
  const memory = new NativeMemory(LICENSE_AT + 16);
  try {
    const count = writeProgram(memory, ATTRIBUTE_BYTES, lengthMax, kind === 'small');
    memory.bytes.set(Buffer.from('GPL\0'), LICENSE_AT);
    memory.u32[0] = BPF_PROG_TYPE_SOCKET_FILTER;
    memory.u32[1] = count;
    memory.setAddress(8, memory.address + ATTRIBUTE_BYTES);
    memory.setAddress(16, memory.address + LICENSE_AT);
    const fd = syscall(number, BPF_PROG_LOAD, memory.address, ATTRIBUTE_BYTES);
    if (fd < 0) throw loadError(errno());
    return fd;
  } finally {
    memory.unmap();
  }
}

/** Writes the program at `at`; returns its number of instructions. r1 is the frame, r0 the answer. */
function writeProgram(memory: NativeMemory, at: number, lengthMax: number, small: boolean): number {
  const program = [
    instruction(LOAD_WORD, 2, 1, GSO_SIZE_AT, 0),
    instruction(JUMP_NOT_EQUAL, 2, 0, 4, 0),
    instruction(LOAD_WORD, 2, 1, LENGTH_AT, 0),
    instruction(JUMP_GREATER, 2, 0, 2, lengthMax),
    instruction(MOVE, 0, 0, 0, small ? WHOLE : 0),
    instruction(EXIT, 0, 0, 0, 0),
    instruction(MOVE, 0, 0, 0, small ? 0 : WHOLE),
    instruction(EXIT, 0, 0, 0, 0),
  ];
  for (const [index, bytes] of program.entries()) {
    memory.bytes.set(bytes, at + index * INSTRUCTION_BYTES);
  }
  return program.length;
}

/** struct bpf_insn: 0 code, 1 registers (destination in the low half), 2 offset (i16), 4 value (i32). */
function instruction(
  code: number,
  destination: number,
  source: number,
  offset: number,
  value: number,
): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(INSTRUCTION_BYTES));
  bytes.setUint8(0, code);
  bytes.setUint8(1, destination | (source << 4));
  bytes.setInt16(2, offset, true);
  bytes.setInt32(4, value, true);
  return new Uint8Array(bytes.buffer);
}

function loadError(code: number): CurlingError {
  const refused = code === ERRNO.EPERM || code === ERRNO.EACCES;
  const text = refused
    ? `the kernel refuses to load a socket filter (${errnoName(code)}); run as root or with CAP_BPF`
    : `the kernel does not load the socket filter: ${errnoName(code)}; it needs CONFIG_BPF_SYSCALL and Linux 5.7`;
  return new CurlingError(refused ? 'CURLING_NOT_ROOT' : 'CURLING_DATAPATH', text);
}
