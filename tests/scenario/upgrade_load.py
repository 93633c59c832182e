#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Upgrades in a row under load, to a higher minor version and back (issue
5): the story `upgrade` of `make bench`, with fewer channels and no word
on time."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, SANITIZER, SRCDIR, VALGRIND,  # noqa: E402
                     Skip, equal, main)
sys.path.insert(0, os.path.join(SRCDIR, 'tests', 'bench'))
import upgrade  # noqa: E402

SLOW = SANITIZER != 'no' or VALGRIND


def test_upgrades_under_load(scene):
    """four upgrades, in turns to a higher minor version: nothing is lost,
    doubled, out of order, closed or refused, and every command ends once"""
    for program in ('load', 'cleatd_later'):
        if not os.path.exists(os.path.join(BUILDDIR, 'tests/bench', program)):
            raise Skip(f'tests/bench/{program} is not built: libssl-dev')
    result = upgrade.run(scene, 4, channels=240, tls12=40, agents=10,
                         rate=200 if SLOW else 1000, visits=5 if SLOW else 20,
                         quiet=1.2)
    equal(upgrade.judge(result), [])


if __name__ == '__main__':
    main()
