// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests with AVIC that a live migration finds in every state: `run` migrates
 * when it sees the line "# migrate"; the new machine has a port 0xe9.
 */
#include "lib.h"

#define VECTOR 0xa5

static inline u8 inb(u16 port)
{
	u8 val;

	asm volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static volatile u32 after;

static void guest_migrates(u64 arg)
{
	(void)arg;
	apic_write(APIC_TPR, 0x35);
	sti();
	note("migrate");
	while (inb(0xe9) != 0xe9)
		pause();
	after = apic_read(APIC_TPR);
	apic_write(APIC_ICR, ICR_SELF | VECTOR);
	asm volatile("nop");
	apic_write(APIC_ICR2, 5 << 24);
	apic_write(APIC_ICR, VECTOR);
}

TEST(running_halted_and_in_smm)
{
	struct vcpu *v = vcpu_init(0, guest_migrates, 0);
	struct vcpu *halted, *in_smm;

	install_smm();
	smm_data.hold = 1;
	halted = start_guest(1, guest_halt, true);
	in_smm = start_guest(2, guest_spin, false);
	CHECK("run", WAIT(up[1] && up[2]), 1);
	send_smi(2);
	CHECK("in SMM", WAIT(smm_data.count), 1);
	vector_set(in_smm, APIC_IRR, VECTOR);

	run(v);
	CHECK_EXIT(v, EXIT_INCOMPLETE_IPI, 5ULL << 56 | VECTOR,
		   (u64)IPI_NOT_RUNNING << 32 | 5);
	CHECK("TPR", after, 0x35);
	CHECK("V_TPR", get32(v, V_INT_CTL) & V_TPR_MASK, 3);
	CHECK("self IPI", v->nr_irqs, 1);

	CHECK("halted", halted->nr_irqs, 0);
	vector_set(halted, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 1);
	CHECK("woken", WAIT(halted->nr_irqs == 1), 1);
	finish(halted);

	CHECK("in SMM", in_smm->nr_irqs, 0);
	smm_data.hold = 0;
	CHECK("after RSM", WAIT(in_smm->nr_irqs == 1), 1);
	finish(in_smm);
}
