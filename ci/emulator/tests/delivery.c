// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delivery of virtual interrupts (APM 15.29.8.3, 15.21): priorities, masks,
 * what VMRUN looks at, injected events, HLT
 */
#include "lib.h"

static void guest_sti(u64 arg)
{
	(void)arg;
	sti();
	asm volatile("nop; nop");
	vmmcall();
}

static struct vcpu *pending(void (*fn)(u64), u8 vector)
{
	struct vcpu *v = vcpu_init(0, fn, 0);

	vector_set(v, APIC_IRR, vector);
	return v;
}

TEST(irr_at_vmrun_is_delivered)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], 0x61);
	CHECK("IRR", vector_get(v, APIC_IRR, 0x61), 0);
	CHECK("ISR", vector_get(v, APIC_ISR, 0x61), 1);
	CHECK("PPR", apic_get(v, APIC_PPR), 0x60);
}

TEST(every_vector)
{
	for (unsigned vector = 16; vector < 256; vector++) {
		struct vcpu *v = pending(guest_sti, vector);

		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("interrupts", v->nr_irqs, 1);
		CHECK("vector", v->irqs[0], vector);
	}
}

TEST(vectors_below_16_are_never_delivered)
{
	struct vcpu *v = pending(guest_sti, 15);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);
	CHECK("IRR", vector_get(v, APIC_IRR, 15), 1);
}

TEST(masked_by_if)
{
	struct vcpu *v = pending(vmmcall_only, 0x61);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);
	CHECK("IRR", vector_get(v, APIC_IRR, 0x61), 1);
}

/* In order of priority, the next one only after the EOI of a higher class */
TEST(highest_first)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	vector_set(v, APIC_IRR, 0x8f);
	vector_set(v, APIC_IRR, 0x62);
	vector_set(v, APIC_IRR, 0xf3);
	v->eoi = true;
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 4);
	CHECK("1st", v->irqs[0], 0xf3);
	CHECK("2nd", v->irqs[1], 0x8f);
	CHECK("3rd", v->irqs[2], 0x62);
	CHECK("4th", v->irqs[3], 0x61);
	CHECK("PPR", apic_get(v, APIC_PPR), 0);
}

TEST(same_class_waits_for_eoi)
{
	struct vcpu *v = pending(guest_sti, 0x6f);

	vector_set(v, APIC_ISR, 0x60);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);

	v = pending(guest_sti, 0x70);
	vector_set(v, APIC_ISR, 0x60);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts of a higher class", v->nr_irqs, 1);
}

/* V_TPR decides at VMRUN, not the TPR of the backing page */
TEST(v_tpr_masks)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | 6);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);
	CHECK("V_TPR", get32(v, V_INT_CTL) & V_TPR_MASK, 6);

	v = pending(guest_sti, 0x61);
	apic_set(v, APIC_TPR, 0x60);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts, TPR in the page only", v->nr_irqs, 1);
}

static volatile unsigned seen;

static void guest_lower_tpr(u64 arg)
{
	struct vcpu *v = &vcpus[0];

	sti();
	asm volatile("nop");
	seen = v->nr_irqs;
	if (arg)
		asm volatile("mov %0, %%cr8" :: "r"(0x5ULL));
	else
		apic_write(APIC_TPR, 0x5f);
	asm volatile("nop");
	seen |= v->nr_irqs << 8;
}

TEST(lowering_the_tpr_delivers)
{
	for (u64 cr8 = 0; cr8 < 2; cr8++) {
		struct vcpu *v = vcpu_init(0, guest_lower_tpr, cr8);

		vector_set(v, APIC_IRR, 0x61);
		set32(v, V_INT_CTL, get32(v, V_INT_CTL) | 6);
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("before and after", seen, 0x100);
	}
}

static void guest_eoi_delivers(u64 arg)
{
	struct vcpu *v = &vcpus[0];

	(void)arg;
	sti();
	asm volatile("nop");
	seen = v->nr_irqs;
	apic_write(APIC_EOI, 0);
	asm volatile("nop");
	seen |= v->nr_irqs << 8;
}

TEST(eoi_delivers_the_next)
{
	struct vcpu *v = vcpu_init(0, guest_eoi_delivers, 0);

	vector_set(v, APIC_ISR, 0x80);
	vector_set(v, APIC_IRR, 0x61);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("before and after", seen, 0x100);
}

/* STI: not before the end of the next instruction */
static void guest_shadow(u64 arg)
{
	(void)arg;
	asm volatile("sti\n\tvmmcall\n\tnop" ::: "memory");
}

TEST(sti_shadow)
{
	struct vcpu *v = pending(guest_shadow, 0x61);

	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);
	CHECK("shadow in the VMCB", get32(v, V_INT_STATE) & 1, 1);
	skip_vmmcall(v);
	set32(v, V_INT_STATE, 0);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts afterwards", v->nr_irqs, 1);
}

TEST(shadow_of_the_vmcb)
{
	struct vcpu *v = pending(vmmcall_only, 0x61);

	set64(v, V_RFLAGS, 0x202);
	set32(v, V_INT_STATE, 1);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);

	v = pending(vmmcall_only, 0x61);
	set64(v, V_RFLAGS, 0x202);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts without it", v->nr_irqs, 1);
}

static void guest_stgi(u64 arg)
{
	struct vcpu *v = &vcpus[0];

	(void)arg;
	asm volatile("nop");
	seen = v->nr_irqs;
	asm volatile("stgi; nop");
	seen |= v->nr_irqs << 8;
}

TEST(virtual_gif_masks)
{
	struct vcpu *v = pending(guest_stgi, 0x61);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_GIF_ENABLE);
	set64(v, V_RFLAGS, 0x202);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("before and after", seen, 0x100);
}

static void guest_clgi(u64 arg)
{
	struct vcpu *v = &vcpus[0];

	(void)arg;
	asm volatile("clgi; sti");
	apic_write(APIC_ICR, ICR_SELF | 0x61);
	asm volatile("nop");
	seen = v->nr_irqs;
	asm volatile("stgi; nop");
	seen |= v->nr_irqs << 8;
}

TEST(virtual_clgi_masks)
{
	struct vcpu *v = vcpu_init(0, guest_clgi, 0);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_GIF_ENABLE | V_GIF);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("before and after", seen, 0x100);
	CHECK("V_GIF", !!(get32(v, V_INT_CTL) & V_GIF), 1);
}

/* V_IRQ and its companions are ignored, and so is the window's intercept */
TEST(v_irq_is_ignored)
{
	struct vcpu *v = vcpu_init(0, guest_sti, 0);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | V_IRQ | 0xfU << 16 |
	      (u32)BIT(20));
	set32(v, V_INT_VECTOR, 0x77);
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | INTERCEPT_VINTR);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 0);
}

/* Without AVIC the same V_IRQ works, and the IRR is only memory */
TEST(v_irq_without_avic)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	set32(v, V_INT_CTL, V_INTR_MASKING | V_IRQ | 0xfU << 16);
	set32(v, V_INT_VECTOR, 0x77);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], 0x77);
	CHECK("IRR", vector_get(v, APIC_IRR, 0x61), 1);
}

/* The injected event first, whatever its priority, and only once */
TEST(event_injection_comes_first)
{
	struct vcpu *v = pending(guest_sti, 0xe1);

	set64(v, V_EVENT_INJ, BIT(31) | 0x41);
	set64(v, V_RFLAGS, 0x202);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 2);
	CHECK("1st", v->irqs[0], 0x41);
	CHECK("2nd", v->irqs[1], 0xe1);
	CHECK("injected one in the ISR", vector_get(v, APIC_ISR, 0x41), 0);
}

/* A fault while an interrupt is delivered: EXITINTINFO says what it was */
TEST(exitintinfo_has_the_type)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	/* The stack is where nested paging has no page: just below the APIC */
	npt_apic[1] = 0;
	set64(v, V_RSP, APIC_BASE + 2 * PAGE - 8);
	set64(v, V_RFLAGS, 0x202);
	CHECK("exit", run(v), EXIT_NPF);
	CHECK("EXITINTINFO", get64(v, V_EXIT_INT_INFO), BIT(31) | 0x61);
	CHECK("ISR", vector_get(v, APIC_ISR, 0x61), 1);
}

TEST(hlt_intercept)
{
	struct vcpu *v = vcpu_init(0, hlt_if1, 0);

	CHECK("exit", run(v), EXIT_HLT);
}

/* An interrupt that is pending already ends HLT */
TEST(hlt_with_pending_interrupt)
{
	struct vcpu *v = pending(hlt_if1, 0x61);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_HLT);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("interrupts", v->nr_irqs, 1);
}

/* Physical interrupts exit, and come before virtual ones */
TEST(physical_interrupt_exits)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	apic_write(APIC_ICR, ICR_SELF | 0x55);
	CHECK("exit", run_if1(v), EXIT_INTR);
	CHECK("virtual interrupts", v->nr_irqs, 0);
	sti();
	CHECK("physical interrupt", WAIT(host_irqs[0x55]), 1);
	cli();
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("virtual interrupts", v->nr_irqs, 1);
}

TEST(nmi_exits)
{
	struct vcpu *v = pending(guest_sti, 0x61);

	asm volatile("clgi");
	apic_write(APIC_ICR, ICR_SELF | ICR_MODE(4));
	CHECK("exit", run(v), EXIT_NMI);
	CHECK("virtual interrupts", v->nr_irqs, 0);
	CHECK("the NMI is the host's", WAIT(host_irqs[2]), 1);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("virtual interrupts", v->nr_irqs, 1);
}
