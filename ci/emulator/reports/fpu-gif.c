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
#define WAITS 5

TEST(stgi_sets_gif)
{
	u32 i;

	start_on(1, load_fpu, NULL);
	sti();
	for (i = 0; i < ROUNDS; i++) {
		asm volatile("clgi" ::: "memory");
		apic_write(APIC_ICR, ICR_SELF | VECTOR);
		asm volatile("stgi" ::: "memory");
		if (!arrived(VECTOR, i + 1, WAITS))
			break;
	}
	cli();
	asm volatile("stgi" ::: "memory");
	CHECK("interrupts that arrived", i, ROUNDS);
	stop = true;
	wait_for(1);
}
