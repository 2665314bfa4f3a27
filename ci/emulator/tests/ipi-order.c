// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A target's entry is read after the vector is set in its IRR (APM 15.29.6.1);
 * with erratum 1235, before. To see it, the table is its target's backing page:
 * the vector's bit in the IRR is a bit of the host's APIC ID in entry 66.
 */
#include "lib.h"

#ifndef DOORBELL
#define DOORBELL 3
#endif

#define VECTOR 33	/* IRR bit 1 of offset 0x210 = 66 * 8 */

static void guest_send(u64 arg)
{
	(void)arg;
	apic_write(APIC_ICR2, 66 << 24);
	apic_write(APIC_ICR, VECTOR);
}

TEST(entry_is_read_after_the_irr_is_set)
{
	struct vcpu *one = start_guest(1, guest_spin, false);
	struct vcpu *three = start_guest(3, guest_spin, false);
	struct vcpu *sender = vcpu_init(0, guest_send, 0);

	CHECK("run", WAIT(up[1] && up[3]), 1);
	vector_set(one, APIC_IRR, 0x61);
	vector_set(three, APIC_IRR, 0x61);
	physical_table[66] = BIT(63) | BIT(62) | (u64)physical_table | 1;
	set64(sender, V_PHYSICAL_TABLE, (u64)physical_table | 66);
	CHECK("exit", run(sender), EXIT_VMMCALL);
	CHECK("entry", physical_table[66] & 3, 3);
	CHECK("target", WAIT(vcpus[DOORBELL].nr_irqs == 1), 1);
	delay();
	CHECK("the other", vcpus[DOORBELL ^ 2].nr_irqs, 0);
	finish(one);
	finish(three);
}
