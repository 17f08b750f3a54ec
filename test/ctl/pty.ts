/** Runs a program in a real terminal, through Python's pty: Node has none. */
import { spawnSync } from 'node:child_process';

/**
 * Arguments: columns, rows, a program and its words. Passes on what the program writes, and types what comes on standard
 * input. At the end a line with the exit status, and whether the terminal is as a shell wants it.
 */
export const PTY = `
import fcntl, os, pty, select, struct, sys, termios
columns, rows = int(sys.argv[1]), int(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])
while True:
    ready, _, _ = select.select([fd, 0], [], [], 60)
    if not ready: break
    if 0 in ready:
        typed = os.read(0, 100)
        if typed: os.write(fd, typed)
    if fd in ready:
        try: said = os.read(fd, 65536)
        except OSError: break
        if not said: break
        os.write(1, said)
mode = termios.tcgetattr(fd)[3]
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
asked = (status, bool(mode & termios.ICANON), bool(mode & termios.ECHO))
os.write(1, b'\\nSTATUS %d CANONICAL %d ECHO %d\\n' % asked)
`;

export const HAS_PTY = spawnSync('python3', ['-c', 'import pty']).status === 0;
