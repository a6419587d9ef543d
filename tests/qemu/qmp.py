# SPDX-License-Identifier: MIT
"""QEMU's monitor protocol, as much of it as plugging a device needs."""
import json
import socket
import time


class QmpError(Exception):
    """The command was refused, or QEMU is gone."""


class Qmp:
    def __init__(self, path, timeout=20):
        self.sock = connect(path, timeout)
        self.file = self.sock.makefile('rw', encoding='utf-8')
        self.events = []
        self._read(timeout)
        self.command('qmp_capabilities')

    def _read(self, timeout):
        self.sock.settimeout(timeout)
        try:
            line = self.file.readline()
        except OSError as e:
            raise QmpError(f'no answer from QEMU in {timeout:.0f} s ({e})') from None
        if not line:
            raise QmpError('QEMU closed its monitor')
        return json.loads(line)

    def command(self, name, timeout=60, **arguments):
        self.file.write(json.dumps({'execute': name, 'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            answer = self._read(timeout)
            if 'event' in answer:
                self.events.append(answer)
            elif 'error' in answer:
                raise QmpError(f'{name}: {answer["error"]["desc"]}')
            else:
                return answer['return']

    def wait_event(self, name, device, timeout):
        end = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event['event'] == name and event.get('data', {}).get('device') == device:
                    self.events.remove(event)
                    return
            left = end - time.monotonic()
            if left <= 0:
                raise QmpError(f'no {name} of {device} within {timeout} s')
            answer = self._read(left)
            if 'event' in answer:
                self.events.append(answer)


def connect(path, timeout, alive=lambda: True):
    """A stream to a unix socket that may not be there yet."""
    end = time.monotonic() + timeout
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            return sock
        except OSError as e:
            sock.close()
            if time.monotonic() > end or not alive():
                raise QmpError(f'{path}: {e.strerror} for {timeout:.0f} s') from None
        time.sleep(0.01)
