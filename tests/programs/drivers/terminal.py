"""Runs a program for terminals where there is none: `python terminal.py COMMAND…`. What it shows goes to stdout.

As another user than root, in the kernel's eyes, where it was started by root: some programs refuse that one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios

ROWS, COLUMNS = 40, 120


def main(command: list[str]) -> int:
    if os.geteuid() == 0:
        command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", *command]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    with contextlib.suppress(OSError):  # the other end was closed
        while shown := os.read(terminal, 65536):
            os.write(1, shown)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
