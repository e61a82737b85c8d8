#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation testing: change one token of a source file, and see whether any test notices.

mutate.py [--sample N] [--seed S] --build DIR --compile COMMAND --test NAME=COMMAND... FILE...
DIR holds lib/libposthorn.so, of objects DIR/FILE.o; the tests are linked to it and must pass as they
are. Prints each survivor, and a table. Not changed: lines that name an ordering site of the lab
(core/sites.h; `make lab-audit` weakens those), assertions, comments, strings, includes.
"""
import argparse
import functools
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time

TOKEN = re.compile(r'[A-Za-z_]\w*|0x[0-9a-fA-F]+[uUlL]*|\d+[uUlL]*|<<=|>>=|->|\+\+|--|<<|>>|'
                   r'[=!<>+*/%&|^-]=|&&|\|\||\S')
# Written with blanks on both sides, an operator is binary (.clang-format sees to it).
BINARY = {
    '==': ['!='], '!=': ['=='], '<': ['<=', '>='], '<=': ['<', '>'], '>': ['>=', '<='],
    '>=': ['>', '<'], '&&': ['||'], '||': ['&&'], '+': ['-'], '-': ['+'], '*': ['/'], '/': ['*'],
    '%': ['/'], '&': ['|'], '|': ['&'], '^': ['|'], '<<': ['>>'], '>>': ['<<'], '+=': ['-='],
    '-=': ['+='], '|=': ['&='], '&=': ['|='], '^=': ['|='], '<<=': ['>>='], '>>=': ['<<='],
}
UNARY = {'++': ['--'], '--': ['++'], '!': [''], '~': [''], 'true': ['false'], 'false': ['true']}
UNTOUCHED = re.compile(r'\b(shared(32|64)?_\w+|SHARED_STEP|PH_BUG_ON|_Static_assert)\b|'
                       r'^\s*#\s*(include|if|el|endif|undef)')
STATEMENT = re.compile(r'\t+(?!return\b|break\b|continue\b|goto\b|else\b|do\b)(?:\(void\))?'
                       r'[a-z_][\w.>\[\]-]*(?:\(| [-+|&^<>]*= |\+\+;|--;)')


def blank(text):
    """The text with comments and strings blanked: same length, same lines."""
    pattern = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def closing(code, start):
    """The index of the parenthesis that closes the one at `start`."""
    depth = 0
    for i in range(start, len(code)):
        depth += {'(': 1, ')': -1}.get(code[i], 0)
        if not depth:
            return i
    raise ValueError('unbalanced parentheses')


def constants(text):
    digits = text.rstrip('uUlL')
    suffix = text[len(digits):]
    value = int(digits, 16 if digits.startswith('0x') else 10)
    others = {value + 1, max(value - 1, 0), 0} - {value}
    return [f'{other:#x}{suffix}' if digits.startswith('0x') else f'{other}{suffix}'
            for other in sorted(others)]


def token_mutants(code):
    for match in TOKEN.finditer(code):
        text, start, end = match.group(), match.start(), match.end()
        others = UNARY.get(text, [])
        if text in BINARY and code[start - 1:start].isspace() and code[end:end + 1].isspace():
            others = BINARY[text]
        elif text[0].isdigit():
            others = constants(text)
        for other in others:
            yield start, end, other
        if text in ('if', 'while') and code[end:end + 2] == ' (':
            yield end + 2, closing(code, end + 1), None


def statement_mutants(code):
    """Calls, assignments and counts that stand alone; not the declarations."""
    for match in re.finditer(r'^.*$', code, re.M):
        line = match.group()
        before = code[:match.start()].rstrip()
        if STATEMENT.match(line) and before[-1:] in (';', '{', '}', ')', ':', ''):
            yield match.start() + len(line) - len(line.lstrip()), code.index(';', match.start()), ''


@functools.cache
def read(path):
    with open(path, encoding='ascii') as file:
        return file.read()


def mutants_of(path):
    """(path, start, end, new text) of every change."""
    text = read(path)
    code = blank(text)
    found = []
    for start, end, other in [*token_mutants(code), *statement_mutants(code)]:
        first = code.rfind('\n', 0, start) + 1
        last = code.find('\n', end)
        if UNTOUCHED.search(code[first:last]):
            continue
        found.append((path, start, end, f'!({text[start:end]})' if other is None else other))
    return found


def named(text):
    """A survivor as printed, without the line's number: that changes soonest."""
    return re.sub(r':\d+:', ':', text.strip().removeprefix('survived '), count=1)


def described(mutant):
    path, start, end, new = mutant
    text = read(path)
    line = text.count('\n', 0, start) + 1
    source = text[text.rfind('\n', 0, start) + 1:text.find('\n', start)].strip()
    old = ' '.join(text[start:end].split())
    return f'{path}:{line}: {old} -> {" ".join(new.split()) or "(nothing)"}   | {source}'


def passes(command, seconds):
    # A session of its own: a test that hangs is ended with all that it started.
    child = subprocess.Popen(command, shell=True, start_new_session=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return child.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


class Bench:
    """One copy of the library, in which one object at a time is a mutant."""

    def __init__(self, arguments):
        self.build = arguments.build
        self.compile = shlex.split(arguments.compile)
        self.tests = [test.split('=', 1) for test in arguments.test]
        self.seconds = {}
        for name, command in self.tests:
            start = time.monotonic()
            if not passes(command, 300):
                sys.exit(f'mutate: {name} fails without any mutant: {command}')
            self.seconds[name] = time.monotonic() - start

    def object_of(self, path):
        return os.path.join(self.build, os.path.splitext(path)[0] + '.o')

    def compiled(self, path, text):
        """The object of `text`, as bytes; None: it does not compile."""
        source = os.path.join(self.build, 'mutant', path)
        os.makedirs(os.path.dirname(source), exist_ok=True)
        with open(source, 'w', encoding='ascii') as file:
            file.write(text)
        done = subprocess.run([*self.compile, '-c', source, '-o', source + '.o'],
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode:
            return None
        with open(source + '.o', 'rb') as file:
            return file.read()

    def link(self, path, replacement):
        objects = os.path.join(self.build, 'core')
        parts = [os.path.join(objects, name) for name in sorted(os.listdir(objects))
                 if name.endswith('.o')]
        parts = [replacement if part == self.object_of(path) else part for part in parts]
        library = os.path.join(self.build, 'lib', 'libposthorn.so')
        subprocess.run([*self.compile, '-shared', *parts, '-o', library], check=True)

    def killer(self, path):
        """The test that notices the mutant of `path`; None: it survives.  Its own test goes first."""
        own = 'test_' + os.path.splitext(os.path.basename(path))[0]
        self.link(path, os.path.join(self.build, 'mutant', path + '.o'))
        for name, command in sorted(self.tests, key=lambda t: (t[0] != own, self.seconds[t[0]])):
            if not passes(command, 2 + 10 * self.seconds[name]):
                return name
        return None


def run(bench, mutants):
    """Counts of each file: [invalid, equivalent, killed, survived]."""
    counts, objects = {}, {}
    for mutant in mutants:
        path, start, end, new = mutant
        text = read(path)
        if path not in objects:
            objects[path] = bench.compiled(path, text)
            counts[path] = [0, 0, 0, 0]
        # As many lines as before, for the assertions' line numbers.
        new += '\n' * text.count('\n', start, end) if not new else ''
        code = bench.compiled(path, text[:start] + new + text[end:])
        if code is None:
            counts[path][0] += 1
        elif code == objects[path]:
            counts[path][1] += 1
        elif bench.killer(path):
            counts[path][2] += 1
        else:
            counts[path][3] += 1
            print(f'survived {described(mutant)}', flush=True)
    return counts


def show(counts):
    print(f'{"file":28} {"mutants":>8} {"killed":>8} {"survived":>8} {"same code":>10} {"invalid":>8}')
    total = [0, 0, 0, 0]
    for path, row in sorted(counts.items()):
        total = [a + b for a, b in zip(total, row)]
        print_row(path, row)
    print_row('all', total)


def print_row(name, row):
    invalid, same, killed, survived = row
    print(f'{name:28} {sum(row):8} {killed:8} {survived:8} {same:10} {invalid:8}')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', required=True)
    parser.add_argument('--compile', required=True)
    parser.add_argument('--test', action='append', required=True)
    parser.add_argument('--sample', type=int, default=0, help='as many mutants; 0: all')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', help='a file that names the mutants, as survivors are printed')
    parser.add_argument('--list', action='store_true', help='only list the mutants')
    parser.add_argument('files', nargs='+')
    arguments = parser.parse_args()
    mutants = [mutant for path in arguments.files for mutant in mutants_of(path)]
    total = len(mutants)
    if arguments.only:
        with open(arguments.only, encoding='ascii') as file:
            only = set(map(named, file))
        mutants = [mutant for mutant in mutants if named(described(mutant)) in only]
    if arguments.sample:
        chosen = set(random.Random(arguments.seed).sample(range(total), min(arguments.sample, total)))
        mutants = [mutant for i, mutant in enumerate(mutants) if i in chosen]
    print(f'{len(mutants)} of {total} mutants', flush=True)
    if arguments.list:
        print(*map(described, mutants), sep='\n')
        return
    show(run(Bench(arguments), mutants))


main()
