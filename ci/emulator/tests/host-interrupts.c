// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts of the host while a processor goes in and out of a guest, or
 * clears and sets GIF, without pause: none may be lost. with_v_irq shows the
 * same without AVIC: QEMU sets an interrupt bit at VMRUN for V_IRQ, too.
 */
#include "lib.h"

#define VECTOR 0x56
#define ROUNDS 5000

/* A machine that is busy can take its time: what is lost is lost for good */
#define WAITS 15

/* One at a time, so that a lost one stays lost */
static void bombard(u32 int_ctl)
{
	struct vcpu *v = vcpu_init(1, vmmcall_forever, 0);
	u32 i;

	set32(v, V_INT_CTL, V_INTR_MASKING | int_ctl);
	stop = false;
	runs = 0;
	start_on(1, run_until_stop, v);
	for (i = 0; i < ROUNDS; i++) {
		apic_write(APIC_ICR2, 1 << 24);
		apic_write(APIC_ICR, VECTOR);
		if (!arrived(VECTOR, i + 1, WAITS))
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

static void restore_fpu(void *arg)
{
	static u8 area[512] __attribute__((aligned(16)));

	(void)arg;
	asm volatile("fxsave %0" : "=m"(area));
	while (!stop)
		asm volatile("fxrstor %0" :: "m"(area));
}

/* In QEMU a FXRSTOR writes to what holds the first processor's GIF */
TEST(gif_while_another_restores_its_fpu)
{
	u32 i;

	stop = false;
	start_on(1, restore_fpu, NULL);
	sti();
	for (i = 0; i < 4 * ROUNDS; i++) {
		asm volatile("clgi" ::: "memory");
		apic_write(APIC_ICR, ICR_SELF | VECTOR);
		asm volatile("stgi" ::: "memory");
		if (!arrived(VECTOR, i + 1, WAITS))
			break;
	}
	cli();
	/* What was lost comes with the next STGI: the other tests need it */
	asm volatile("stgi" ::: "memory");
	CHECK("interrupts", i, 4 * ROUNDS);
	stop = true;
	wait_for(1);
}
