# SPDX-License-Identifier: MIT
"""The machines that a guest may have, by the architecture of its kernel, and what
of them differs: QEMU's command line, the shell, the device tree."""
import os
import subprocess

import testbed

# The kernel's cryptography is not our test.
CALM = 'cryptomgr.notests'


def port(number):
    """The bus that an NPU is plugged in; a device tree names it, so its place is fixed."""
    return ['-device', f'pcie-root-port,id=rp{number},chassis={number + 1},slot={number + 1},addr={0x10 + number:x}']


class Board:
    """What a guest's architecture decides."""

    def __init__(self, qemu, machine, cpu, console, kernel_args, busybox):
        self.qemu = qemu
        self.machine = machine
        self.cpu = cpu
        self.console = console
        self.kernel_args = kernel_args
        self._busybox = busybox

    def command(self, accel):
        """QEMU up to the CPU."""
        if accel == 'tcg':
            accel, cpu = 'tcg,thread=multi', self.cpu
        else:
            cpu = 'host'
        return [testbed.part(self.qemu)['path'], '-M', self.machine, '-accel', accel, '-cpu', cpu]

    def busybox(self):
        return self._busybox or testbed.part('arm64-busybox')['path']


BOARDS = {
    # On a loaded host the guest measures a TSC that is many times too fast: its clock then
    # jumps and all is late; its test of the timer may fail too.
    # The CPU is without its fast string instructions, which TCG executes byte by byte.
    'amd64': Board('qemu', 'q35', 'max,la57=off,-erms,-fsrm', 'ttyS0',
                   f'tsc=unstable no_timer_check {CALM}', '/bin/busybox'),
    # The cipher of pointer authentication is QEMU's own: the real one takes long.
    'arm64': Board('qemu-arm64', 'virt,gic-version=3', 'max,pauth-impdef=on', 'ttyAMA0', CALM, None),
}


def device_tree(board, smp, memory, source, folder):
    """QEMU's own device tree with a source added to it, as a file for -dtb."""
    base, merged, out = (os.path.join(folder, f) for f in ('base.dtb', 'merged.dts', 'merged.dtb'))
    testbed.run([testbed.part(board.qemu)['path'], '-M', f'{board.machine},dumpdtb={base}', '-cpu', board.cpu,
                 '-smp', str(smp), '-m', memory, '-nodefaults', '-no-user-config', '-display', 'none'])
    text = subprocess.run(['dtc', '-q', '-I', 'dtb', '-O', 'dts', base], capture_output=True, text=True,
                          check=True).stdout
    with open(source, encoding='utf-8') as f:
        text += f.read()
    with open(merged, 'w', encoding='utf-8') as f:
        f.write(text)
    testbed.run(['dtc', '-q', '-I', 'dts', '-O', 'dtb', '-o', out, merged])
    return out
