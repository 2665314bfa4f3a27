// SPDX-License-Identifier: GPL-2.0-or-later
/* A guest lowers CR8, so that a virtual interrupt (V_IRQ) can be delivered */
#include "lib.h"

static void lower_cr8(u64 cr8)
{
	sti();
	asm volatile("mov %0, %%cr8; nop" :: "r"(cr8) : "memory");
}

TEST(virtual_interrupt_after_cr8_is_lowered)
{
	struct vcpu *v = vcpu_init(0, lower_cr8, 0);

	/* V_INTR_PRIO 5, V_TPR 6 */
	set32(v, V_INT_CTL, V_INTR_MASKING | V_IRQ | 5 << 16 | 6);
	set32(v, V_INT_VECTOR, 0x51);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("virtual interrupts", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], 0x51);
}
