# SPDX-License-Identifier: MIT
"""Reads TAP as kselftest, KTAP scripts and cmocka write it, and trusts none of it.

A stream is a row of sections, each with its plan: cmocka opens a new one per
group. A section without a plan, short of its plan or with numbers out of
order is a failure of its own, as is a bad status that no test accounts for.
"""
import re
from collections import namedtuple

Result = namedtuple('Result', 'name outcome reason')
PASS, FAIL, SKIP = 'passed', 'failed', 'skipped'

_PLAN = re.compile(r'^1\.\.(\d+)\s*(?:#\s*(.*))?$')
_TEST = re.compile(r'^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?(.*)$')
_DIRECTIVE = re.compile(r'#\s*(SKIP|XFAIL|TODO)\S*\s*(.*)$', re.I)
KSFT_SKIP = 4


class Section:
    def __init__(self):
        self.plan = None
        self.count = 0


class Parser:
    def __init__(self, program):
        self.program = program
        self.results = []
        self.section = None
        self.sections = 0
        self.notes = []

    def fail(self, what, reason=''):
        self.results.append(Result(f'{self.program}: {what}', FAIL, reason))

    def open_section(self):
        self.close_section()
        self.section = Section()
        self.sections += 1

    def close_section(self):
        s, self.section = self.section, None
        if s is None:
            return
        if s.plan is None and s.count:
            self.fail('no plan', f'{s.count} tests, but no line "1..N"')
        elif s.plan is not None and s.plan != s.count:
            self.fail('plan not kept', f'{s.count} tests ran of {s.plan} planned; ' + ' | '.join(self.notes[-3:]))

    def take_plan(self, count, reason):
        if self.section is None or self.section.plan is not None:
            self.open_section()
        self.section.plan = count
        if count == 0:
            self.results.append(Result(self.program, SKIP, re.sub(r'(?i)^skip\w*:?\s*', '', reason or '')))

    def take_test(self, bad, number, text):
        s = self.section
        if s is None or (s.plan is not None and s.count >= s.plan and number == 1):
            self.open_section()
            s = self.section
        s.count += 1
        if number is not None and number != s.count:
            self.fail('numbers out of order', f'{number} came where {s.count} was due')
        outcome, reason = (FAIL if bad else PASS), ' | '.join(self.notes[-3:]) if bad else ''
        m = _DIRECTIVE.search(text)
        # cmocka says "not ok 3 # SKIP name": with no description it is a skip.
        if m and m.start() == 0 and m[1].upper() == 'SKIP':
            bad = False
        if m and not bad:
            outcome, reason = SKIP, m[2].strip()
            text = text[:m.start()].strip()
        self.notes = []
        name = text.strip() or (reason if m else '') or f'test {s.count}'
        self.results.append(Result(f'{self.program}: {name}', outcome, reason))

    def line(self, line):
        if line.startswith(('TAP version', 'KTAP version')):
            if self.section is not None and (self.section.count or self.section.plan is not None):
                self.close_section()
            return
        m = _PLAN.match(line)
        if m:
            self.take_plan(int(m[1]), m[2])
            return
        m = _TEST.match(line)
        if m:
            self.take_test(bool(m[1]), int(m[2]) if m[2] else None, m[3])
        elif line.startswith('Bail out!'):
            self.fail('bailed out', line[9:].strip())
        elif line.startswith('#'):
            self.notes.append(line[1:].strip())


def parse(program, lines, status):
    """Results of one program, given its output and its exit status (None: it hung)."""
    p = Parser(program)
    for line in lines:
        p.line(line.rstrip())
    p.close_section()
    failed = any(r.outcome == FAIL for r in p.results)
    if status is None:
        p.fail('time was up')
    elif status == KSFT_SKIP and not p.results:
        p.results.append(Result(program, SKIP, (p.notes or ['no reason given'])[-1]))
    elif status not in (0, KSFT_SKIP) and (not failed or status < 0):
        how = f'signal {-status}' if status < 0 else f'status {status}'
        p.fail(f'ended with {how}', ' | '.join(line.strip() for line in lines[-2:]))
    elif not p.results:
        p.fail('no test', 'the program ended well but ran no test')
    return p.results


def split_runs(lines):
    """(name, lines, status) per program in the output of the guest's run-tests.

    A status of None: the guest's output ends within that program.
    """
    name, body = None, []
    for line in lines:
        m = re.match(r'^#@ (begin|end) (\S+)(?: (\d+))?$', line.rstrip())
        if m and m[1] == 'begin':
            name, body = m[2], []
        elif m and name == m[2]:
            status = int(m[3] or 255)
            # busybox timeout kills by TERM (143), a shell says 128 + signal
            yield name, body, None if status == 143 else (128 - status if status > 128 else status)
            name = None
        elif name:
            body.append(line)
    if name:
        yield name, body, None


def _check(problems, what, got, want):
    if got != want:
        problems.append(f'tap self-test: {what}: got {got}, wanted {want}')


def self_test():
    """Streams with a known verdict: (passed, failed, skipped)."""
    cases = [
        ('good', 'TAP version 13\n1..2\nok 1 a\nok 2 - b', 0, (2, 0, 0)),
        ('plan last', 'ok 1 a\nok 2 b\n1..2', 0, (2, 0, 0)),
        ('one fails', '1..2\nok 1 a\nnot ok 2 b', 1, (1, 1, 0)),
        ('fails but status 0', '1..1\nnot ok 1 a', 0, (0, 1, 0)),
        ('passes but status 1', '1..1\nok 1 a', 1, (1, 1, 0)),
        ('killed', '1..1\nok 1 a', -11, (1, 1, 0)),
        ('hung', '1..2\nok 1 a', None, (1, 2, 0)),
        ('short of plan', '1..3\nok 1 a\nok 2 b', 0, (2, 1, 0)),
        ('more than plan', '1..1\nok 1 a\nok 2 b', 0, (2, 1, 0)),
        ('no plan', 'ok 1 a', 0, (1, 1, 0)),
        ('nothing', '', 0, (0, 1, 0)),
        ('noise only', 'hello\nworld', 0, (0, 1, 0)),
        ('skip', '1..2\nok 1 a # SKIP no device\nok 2 b', 0, (1, 0, 1)),
        ('cmocka skip', '1..1\nok 1 # SKIP test_avx512', 0, (0, 0, 1)),
        ('cmocka skip, newer', '1..1\nnot ok 1 # SKIP test_avx512', 0, (0, 0, 1)),
        ('skip all by plan', '1..0 # SKIP no models', 0, (0, 0, 1)),
        ('skip all by status', '# no device here', 4, (0, 0, 1)),
        ('two groups', 'TAP version 13\n1..1\nok 1 a\nTAP version 13\n1..2\nok 1 b\nok 2 c', 0, (3, 0, 0)),
        ('two groups, no version', '1..1\nok 1 a\n1..1\nok 1 b', 0, (2, 0, 0)),
        ('second group short', '1..1\nok 1 a\n1..2\nok 1 b', 0, (2, 1, 0)),
        ('order', '1..2\nok 2 a\nok 1 b', 0, (2, 2, 0)),
        ('bail out', '1..2\nok 1 a\nBail out! lost', 1, (1, 2, 0)),
        ('not ok with SKIP is a failure', '1..1\nnot ok 1 a # SKIP x', 1, (0, 1, 0)),
        ('diagnostics', '# x\n1..1\n# ok 9 not a test\nok 1 a', 0, (1, 0, 0)),
    ]
    problems = []
    for what, text, status, want in cases:
        results = parse('p', text.splitlines(), status)
        got = tuple(sum(r.outcome == o for r in results) for o in (PASS, FAIL, SKIP))
        _check(problems, what, got, want)
    runs = list(split_runs('#@ begin a\nok 1\n#@ end a 0\n#@ begin b\nx\n#@ end b 139\n'
                           '#@ begin c\n#@ end c 143\n#@ begin d\ny'.splitlines()))
    _check(problems, 'runs', [(n, s) for n, _, s in runs],
           [('a', 0), ('b', -11), ('c', None), ('d', None)])
    reason = parse('p', ['1..1', '# expected 3', '# got 4', 'not ok 1 a'], 1)[0].reason
    _check(problems, 'reason', reason, 'expected 3 | got 4')
    return problems, len(cases) + 2
