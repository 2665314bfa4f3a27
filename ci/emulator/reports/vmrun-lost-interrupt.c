// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processor 1 does nothing but VMRUN with V_IRQ set; processor 0 sends it IPIs,
 * one at a time. None may be lost.
 */
#include "lib.h"

#define VECTOR 0x56
#define ROUNDS 20000

/* A machine that is busy can take its time: what is lost is lost for good */
#define WAITS 5

TEST(no_ipi_is_lost)
{
	struct vcpu *v = vcpu_init(1, vmmcall_forever, 0);
	u32 i;

	set32(v, V_INT_CTL, V_INTR_MASKING | V_IRQ | 0xfU << 16);
	start_on(1, run_until_stop, v);
	for (i = 0; i < ROUNDS; i++) {
		apic_write(APIC_ICR2, 1 << 24);
		apic_write(APIC_ICR, VECTOR);
		if (!arrived(VECTOR, i + 1, WAITS))
			break;
	}
	CHECK("interrupts that arrived", i, ROUNDS);
	stop = true;
	wait_for(1);
}
