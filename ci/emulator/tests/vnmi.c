// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NMI virtualization (APM 15.21.10): one NMI that waits in the VMCB, blocked from
 * its delivery to the next IRET
 */
#include "lib.h"

#define NMI 2
#define VECTOR 0xa5

static struct vcpu *with_vnmi(void (*fn)(u64), u64 arg, u32 state)
{
	struct vcpu *v = vcpu_init(0, fn, arg);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_NMI_ENABLE | state);
	return v;
}

static u64 state(struct vcpu *v)
{
	return get32(v, V_INT_CTL) & (V_NMI | V_NMI_MASK);
}

/* The handler returns by IRET */
TEST(pending_one_is_delivered)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, V_NMI);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("number", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], NMI);
	CHECK("state", state(v), 0);
}

static void guest_iret(u64 arg)
{
	(void)arg;
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushf; push $0x08;"
		     "lea 1f(%%rip), %%rax; push %%rax; iretq; 1:"
		     ::: "rax", "memory");
}

TEST(iret_unblocks)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, V_NMI | V_NMI_MASK);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("blocked", v->nr_irqs, 0);
	CHECK("state", state(v), V_NMI | V_NMI_MASK);

	v = with_vnmi(guest_iret, 0, V_NMI | V_NMI_MASK);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("then delivered", v->nr_irqs, 1);
	CHECK("state", state(v), 0);
}

/* An NMI that arrives while one is handled waits for the IRET */
static void guest_calls_in_handler(u64 arg)
{
	(void)arg;
	vmmcall();
	vmmcall();
}

TEST(blocked_in_the_handler)
{
	struct vcpu *v = with_vnmi(guest_calls_in_handler, 0, V_NMI);

	v->eoi = true;			/* the handler writes EOI: it traps */
	vector_set(v, APIC_ISR, VECTOR);
	vector_set(v, APIC_TMR, VECTOR);
	CHECK("exit in the handler", run(v), EXIT_NOACCEL);
	CHECK("number", v->nr_irqs, 1);
	CHECK("state", state(v), V_NMI_MASK);
	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_NMI);
	v->eoi = false;
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("number", v->nr_irqs, 2);
	CHECK("state", state(v), 0);
}

TEST(rflags_if_does_not_matter_and_gif_does)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, V_NMI);

	set64(v, V_RFLAGS, 0x202);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("IF=1", v->nr_irqs, 1);
	v = with_vnmi(vmmcall_only, 0, V_NMI | V_GIF_ENABLE);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("GIF=0", v->nr_irqs, 0);
	v = with_vnmi(vmmcall_only, 0, V_NMI | V_GIF_ENABLE | V_GIF);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("GIF=1", v->nr_irqs, 1);
}

/* One that is pending ends a HLT at once, whatever IF is */
static void guest_hlt(u64 arg)
{
	(void)arg;
	asm volatile("hlt" ::: "memory");
}

TEST(halted_guest)
{
	struct vcpu *v = with_vnmi(guest_hlt, 0, V_NMI);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_HLT);
	/* the HLT is in the shadow */
	set32(v, V_INT_STATE, 1);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("number", v->nr_irqs, 1);
}

TEST(with_an_interrupt_of_avic)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, V_NMI);

	set64(v, V_RFLAGS, 0x202);
	vector_set(v, APIC_IRR, VECTOR);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("number", v->nr_irqs, 2);
	CHECK("state", state(v), 0);
}

TEST(with_a_virtual_interrupt)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, V_NMI | V_IRQ);

	set32(v, V_INT_CTL, (get32(v, V_INT_CTL) & ~AVIC_ENABLE) | 0xf << 16);
	set32(v, V_INT_VECTOR, VECTOR);
	set64(v, V_RFLAGS, 0x202);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("number", v->nr_irqs, 2);
	CHECK("NMI first", v->irqs[0], NMI);
	CHECK("vector", v->irqs[1], VECTOR);
	CHECK("state", state(v), 0);
	CHECK("V_IRQ", get32(v, V_INT_CTL) & V_IRQ, 0);
}

/* An injected NMI is being handled from then on */
TEST(injected_one_blocks)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, V_NMI);

	set64(v, V_EVENT_INJ, EVENT_VALID | EVENT_NMI | NMI);
	v->eoi = true;
	vector_set(v, APIC_ISR, VECTOR);
	vector_set(v, APIC_TMR, VECTOR);
	CHECK("exit in the handler", run(v), EXIT_NOACCEL);
	CHECK("number", v->nr_irqs, 1);
	CHECK("state", state(v), V_NMI | V_NMI_MASK);
}

TEST(nmi_has_to_be_intercepted)
{
	struct vcpu *v = with_vnmi(vmmcall_only, 0, 0);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_NMI);
	CHECK("exit", run(v), EXIT_INVALID);
}

/* Physical ones exit, and do not block the guest's, nor do these block them */
TEST(physical_nmi)
{
	struct vcpu *v = prepare_guest(1, guest_spin, false);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_NMI_ENABLE | V_NMI_MASK);
	start_prepared(v);
	CHECK("runs", WAIT(up[1]), 1);
	set64(v, V_EXIT_CODE, 0x1234);
	apic_write(APIC_ICR2, 1 << 24);
	apic_write(APIC_ICR, ICR_MODE(4));
	wait_for(1);
	CHECK("exit", get64(v, V_EXIT_CODE), EXIT_NMI);
	CHECK("virtual NMIs", v->nr_irqs, 0);
	CHECK("state", state(v), V_NMI_MASK);
}
