// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processor 1 does nothing but FLDENV; processor 0 does CLGI, sends itself an
 * IPI, and does STGI. None may be lost.
 */
#include "lib.h"

#define VECTOR 0x56
#define ROUNDS 3000000

/* Like FXRSTOR and XRSTOR it makes QEMU clear IGNNE#, and it is quicker */
static void load_fpu(void *arg)
{
	static u8 area[28];

	(void)arg;
	asm volatile("fnstenv %0" : "=m"(area));
	while (!stop)
		asm volatile(".rept 100; fldenv %0; .endr" :: "m"(area));
}

/* A machine that is busy can take its time: what is lost is lost for good */
static bool arrived(u32 n)
{
	for (int i = 0; i < 5; i++)
		if (WAIT(host_irqs[VECTOR] == n))
			return true;
	return false;
}

TEST(stgi_sets_gif)
{
	u32 i;

	start_on(1, load_fpu, NULL);
	sti();
	for (i = 0; i < ROUNDS; i++) {
		asm volatile("clgi" ::: "memory");
		apic_write(APIC_ICR, ICR_SELF | VECTOR);
		asm volatile("stgi" ::: "memory");
		if (!arrived(i + 1))
			break;
	}
	cli();
	asm volatile("stgi" ::: "memory");
	CHECK("interrupts that arrived", i, ROUNDS);
	stop = true;
	wait_for(1);
}
