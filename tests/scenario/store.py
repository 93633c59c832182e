#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon and its database: what it refuses to start on, what it leaves
alone, what a kill -9 does (issue 3, "Store")."""
import ctypes
import hashlib
import os
import re
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import Device, Skip, check, equal, main  # noqa: E402

CLONE_NEWNS, MS_RDONLY, MS_REMOUNT = 0x20000, 1, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def database(d):
    return os.path.join(d.state, 'cleat.db')


def look(d):
    """Every file of the database that has something in it, with its digest."""
    found = {}
    for name in sorted(os.listdir(d.state)):
        if name.startswith('cleat.db') and not name.endswith('-shm'):
            with open(os.path.join(d.state, name), 'rb') as f:
                content = f.read()
            if content:
                found[name] = hashlib.sha256(content).hexdigest()
    return found


def refused(d, pattern, **kw):
    """It ends by itself and says in one line why, and what to do."""
    d.launch(**kw)
    equal(d.wait(), 1, 'exit status')
    d.process = None
    d.check_clean()
    lines = [line for line in d.log if 'cannot start:' in line]
    equal(len(lines), 1, 'lines that say why:\n' + '\n'.join(d.log))
    check(re.search(pattern, lines[0]), f'no {pattern!r} in {lines[0]!r}')
    check(not any('ready version=' in line for line in d.log), 'said ready')


def made(scene):
    """A daemon that has run once and knows a device."""
    d = scene.daemon()
    d.token('dev')
    d.start()
    Device(d, 'dev').close()
    d.stop()
    return d


def test_corrupt(scene):
    """a corrupt database is refused with the remedy and left as it is"""
    d = made(scene)
    path = database(d)
    size = os.path.getsize(path)
    with open(path, 'r+b') as f:
        good = f.read()
        f.seek(4096)
        f.write(b'\xa5' * (size - 4096))
    before = look(d)
    refused(d, r'cleat\.db: .*broken; move it away.*backup')
    equal(look(d), before, 'the files')
    with open(path, 'wb') as f:
        f.write(b'Dear diary, ' * 1000)
    before = look(d)
    refused(d, r'cleat\.db: not a database.*move it away')
    equal(look(d), before, 'the files')
    with open(path, 'wb') as f:
        f.write(good)
    d.start()
    d.stop()


def test_foreign(scene):
    """a database of another program is refused and left as it is"""
    d = scene.daemon()
    os.makedirs(d.state, mode=0o700)
    with sqlite3.connect(database(d)) as other:
        other.execute('CREATE TABLE theirs (x)')
    other.close()
    before = look(d)
    refused(d, r'cleat\.db: .*something else; name another state_dir')
    equal(look(d), before, 'the files')


def test_newer(scene):
    """a newer database is refused, also with a log that was not copied back"""
    d = made(scene)
    db = sqlite3.connect(database(d), isolation_level=None)
    version = db.execute('PRAGMA user_version').fetchone()[0]
    db.execute('PRAGMA wal_autocheckpoint = 0')
    db.execute(f'PRAGMA user_version = {version + 1}')
    with open(database(d) + '-wal', 'rb') as f:
        log = f.read()
    check(len(log) > 0, 'no log')
    kept = {}
    for name in look(d):
        with open(os.path.join(d.state, name), 'rb') as f:
            kept[name] = f.read()
    db.close()
    for name, content in kept.items():      # as a kill -9 leaves it
        with open(os.path.join(d.state, name), 'wb') as f:
            f.write(content)
    before = look(d)
    equal(len(before), 2, 'database and log')
    refused(d, r'cleat\.db: made by a newer cleat; install that version')
    equal(look(d), before, 'the files')


def test_held(scene):
    """a database that another program holds is named with the remedy"""
    d = made(scene)
    other = sqlite3.connect(database(d), isolation_level=None)
    other.execute('BEGIN IMMEDIATE')
    refused(d, r'cleat\.db: another program holds it; end that')
    other.execute('ROLLBACK')
    other.close()
    d.start()
    d.stop()


def read_only(path):
    """For the child: sees that directory as on a read-only disk."""
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source, flags):
        if libc.mount(source, path.encode(), None, flags, None) != 0:
            raise OSError(ctypes.get_errno(), 'mount')

    def enter():
        if libc.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), 'unshare')
        if libc.mount(None, b'/', None, MS_REC | MS_PRIVATE, None) != 0:
            raise OSError(ctypes.get_errno(), 'mount')
        mount(path.encode(), MS_BIND)
        mount(None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    return enter


def test_read_only(scene):
    """a state directory that cannot be written is named"""
    d = made(scene)
    before = look(d)
    if os.geteuid() != 0:
        os.chmod(database(d), 0o400)
        refused(d, r'cleat\.db: cannot be written; .*writable')
        os.chmod(database(d), 0o600)
    else:
        try:
            refused(d, r'cannot start: .*' + re.escape(d.state),
                    preexec_fn=read_only(d.state))
        except (OSError, subprocess.SubprocessError) as e:
            d.process = None
            raise Skip(f'no mount namespace here: {e}')
        # The rest of the directory can be written, the database cannot.
        os.rename(database(d), database(d) + '.kept')
        os.mkdir(database(d))
        refused(d, r'cleat\.db: not a regular file; move it away')
        os.rmdir(database(d))
        os.rename(database(d) + '.kept', database(d))
    equal(look(d), before, 'the files')
    d.start()
    d.stop()


def test_killed(scene):
    """it starts again after kill -9, says so, and has what it had"""
    d = made(scene)
    for _ in range(3):
        d.start()
        Device(d, 'dev').close()
        d.kill()
    d.start()
    check(any('the last run did not end in order' in line for line in d.log),
          'did not say that it was killed')
    Device(d, 'dev').close()
    d.stop()
    db = sqlite3.connect(database(d))
    equal(db.execute('PRAGMA integrity_check').fetchone()[0], 'ok')
    equal(db.execute('SELECT clean FROM run').fetchone()[0], 1, 'clean')
    equal(db.execute("SELECT count(*) FROM endpoint WHERE id = 'dev'")
          .fetchone()[0], 1, 'endpoints')
    db.close()
    equal(os.stat(database(d)).st_mode & 0o777, 0o600, 'mode')
    d.start()
    check(not any('did not end in order' in line for line in d.log),
          'an end in order was taken for a kill')
    d.stop()


if __name__ == '__main__':
    main()
