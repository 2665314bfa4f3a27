// SPDX-License-Identifier: GPL-2.0-or-later
/* The intercept of a HLT that makes the guest idle (APM 15.9) */
#include "lib.h"

#define VECTOR 0xa5

static void guest_hlt(u64 arg)
{
	(void)arg;
	asm volatile(".global the_hlt, behind_hlt; the_hlt: hlt; behind_hlt:" ::: "memory");
}

extern char the_hlt[], behind_hlt[];

/* With IF=1 what is pending comes after the HLT, by the shadow */
static struct vcpu *halting(u64 rflags)
{
	struct vcpu *v = vcpu_init(0, guest_hlt, 0);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_HLT);
	set32(v, V_INTERCEPT3, INTERCEPT_IDLE_HLT);
	set64(v, V_RFLAGS, rflags);
	set32(v, V_INT_STATE, 1);
	return v;
}

TEST(idle)
{
	struct vcpu *v = halting(0x202);

	CHECK("exit", run(v), EXIT_IDLE_HLT);
	CHECK("RIP", get64(v, V_RIP), the_hlt);
	CHECK("next RIP", get64(v, V_NEXT_RIP), behind_hlt);
}

TEST(interrupt_of_avic)
{
	struct vcpu *v = halting(0x202);

	vector_set(v, APIC_IRR, VECTOR);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 1);
}

TEST(interrupt_that_is_masked)
{
	struct vcpu *v = halting(0x202);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | 0xf);	/* V_TPR */
	vector_set(v, APIC_IRR, VECTOR);
	CHECK("exit", run(v), EXIT_IDLE_HLT);
}

TEST(virtual_interrupt)
{
	struct vcpu *v = halting(0x202);

	set32(v, V_INT_CTL, V_INTR_MASKING | V_IRQ | 0xf << 16);
	set32(v, V_INT_VECTOR, VECTOR);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 1);
}

TEST(virtual_nmi)
{
	struct vcpu *v = halting(2);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_NMI_ENABLE | V_NMI);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("NMIs", v->nr_irqs, 1);
}

TEST(intercept_of_any_hlt_comes_first)
{
	struct vcpu *v = halting(0x202);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | INTERCEPT_HLT);
	CHECK("exit", run(v), EXIT_HLT);
	v = halting(0x202);
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | INTERCEPT_HLT);
	vector_set(v, APIC_IRR, VECTOR);
	CHECK("exit with an interrupt", run(v), EXIT_HLT);
}
