// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts of the host while a processor goes in and out of a guest without
 * pause: none may be lost. The first test shows the same without AVIC: QEMU
 * sets an interrupt bit at VMRUN for V_IRQ, too.
 */
#include "lib.h"

#define VECTOR 0x56
#define ROUNDS 5000

static volatile u64 runs;

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
		runs++;
	}
}

/* A machine that is busy can take its time: what is lost is lost for good */
static bool arrived(u32 n)
{
	for (int i = 0; i < 15; i++)
		if (WAIT(host_irqs[VECTOR] == n))
			return true;
	return false;
}

/* One at a time, so that a lost one stays lost */
static void bombard(u32 int_ctl)
{
	struct vcpu *v = vcpu_init(1, guest, 0);
	u32 i;

	set32(v, V_INT_CTL, V_INTR_MASKING | int_ctl);
	stop = false;
	runs = 0;
	start_on(1, run_guest, v);
	for (i = 0; i < ROUNDS; i++) {
		apic_write(APIC_ICR2, 1 << 24);
		apic_write(APIC_ICR, VECTOR);
		if (!arrived(i + 1))
			break;
	}
	CHECK("interrupts", i, ROUNDS);
	note("%d interrupts, %d runs", i, (unsigned)runs);
	stop = true;
	wait_for(1);
}

TEST(with_v_irq)
{
	bombard(V_IRQ | 0xfU << 16);
}

TEST(with_avic)
{
	bombard(AVIC_ENABLE);
}
