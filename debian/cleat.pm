# SPDX-License-Identifier: Apache-2.0
# "dh-sequence-cleat" in Build-Depends: packages of plugins depend on the ABI.
use strict;
use warnings;
use Debian::Debhelper::Dh_Lib;

insert_before('dh_gencontrol', 'dh_cleat');

1;
