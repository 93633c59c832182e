/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input of fuzz_record: four bytes (suite and role, size of the pieces,
 * what the peer takes, what we take), then steps.  A step is a byte, kind and
 * argument in one, and what follows it.
 */
#ifndef CT_FUZZ_RECORD_STEPS_H
#define CT_FUZZ_RECORD_STEPS_H

#define STEPS_HEAD 4

enum record_step {
	STEP_DATA,			/* length, bytes; argument: padding */
	STEP_ZEROS,			/* type, length (2) */
	STEP_HANDSHAKE,			/* length, bytes */
	STEP_ALERT,			/* argument: length; bytes */
	STEP_UPDATE,			/* cuts and value */
	STEP_RAW,			/* length, bytes of the wire */
	STEP_FLIP,			/* how far back (2) */
	STEP_SEND,			/* length / 64; argument: room */
	STEP_REKEY,			/* argument: ask, lower bounds */
	STEP_SHUTDOWN, STEP_MOVE, STEP_READ,
	STEP_SHAPED,			/* type, version (2), inner type,
					 * padding (2), length, bytes */
	STEP_DISORDER,			/* by how much */
	STEP_MESSAGE,			/* type, said length (2), length, size
					 * of the records, bytes */
	STEP_MANY,			/* how many; argument: of what */
	STEPS
};

#endif
