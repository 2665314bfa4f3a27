// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processor 1 does nothing but VMRUN with V_IRQ set; processor 0 sends it IPIs,
 * one at a time. None may be lost.
 */
#include "lib.h"

#define VECTOR 0x56
#define ROUNDS 20000

static void guest(u64 arg)
{
	(void)arg;
	for (;;)
		vmmcall();
}

static void run_guest(void *arg)
{
	struct vcpu *v = arg;

	while (!stop) {
		run_if1(v);
		set64(v, V_RIP, (u64)guest);
		sti();
		asm volatile("nop");
		cli();
	}
}

/* A machine that is busy can take its time: what is lost is lost for good */
static bool arrived(u32 n)
{
	for (int i = 0; i < 5; i++)
		if (WAIT(host_irqs[VECTOR] == n))
			return true;
	return false;
}

TEST(no_ipi_is_lost)
{
	struct vcpu *v = vcpu_init(1, guest, 0);
	u32 i;

	set32(v, V_INT_CTL, V_INTR_MASKING | V_IRQ | 0xfU << 16);
	start_on(1, run_guest, v);
	for (i = 0; i < ROUNDS; i++) {
		apic_write(APIC_ICR2, 1 << 24);
		apic_write(APIC_ICR, VECTOR);
		if (!arrived(i + 1))
			break;
	}
	CHECK("interrupts that arrived", i, ROUNDS);
	stop = true;
	wait_for(1);
}
