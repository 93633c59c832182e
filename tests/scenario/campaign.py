#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A short run of tests/campaign, and what its judge is worth (issue 3, "Proven
by").  CLEAT_CAMPAIGN_SEED repeats a run."""
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
import campaign_plant  # noqa: E402
from harness import (SANITIZER, SRCDIR, VALGRIND, Skip, check,  # noqa: E402
                     equal, main)

ROUNDS, DEVICES = '5', '150'
LIMIT = 240.0


def test_judge_finds_planted(scene):
    """the judge finds each planted violation, and none where there is none"""
    check(len(campaign_plant.PLANTED) > 50 and
          len(campaign_plant.LATER) > 10, 'too few are planted')
    equal(campaign_plant.prove(scene.path('trials')), [], 'the judge')


def test_short_campaign(scene):
    """a few rounds of everything that can go wrong leave nothing wrong"""
    if 'thread' in SANITIZER or VALGRIND:
        raise Skip('bounds mean nothing in so slow a daemon')
    seed = os.environ.get('CLEAT_CAMPAIGN_SEED') or str(
        random.SystemRandom().randrange(1 << 31))
    done = subprocess.run(
        [os.path.join(SRCDIR, 'tests', 'campaign'), '--rounds', ROUNDS,
         '--devices', DEVICES, '--seed', seed, '--keep',
         os.path.abspath('campaign-failure')],
        text=True, capture_output=True, check=False, timeout=LIMIT)
    sys.stderr.write(done.stdout + done.stderr[-20000:])
    equal(done.returncode, 0, f'seed {seed}')


if __name__ == '__main__':
    main()
