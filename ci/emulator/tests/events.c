// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What interrupts a guest with AVIC: SMI (APM 10.3, 15.13.3), NMI (15.13.2) and
 * INIT (15.13.4), intercepted and not, and with a trap that is due
 */
#include "lib.h"

#define VECTOR 0xa5
#define NOTHING 0x1234	/* no exit has this code */

static volatile u32 seen_id;

static void guest_reads_its_id(u64 id)
{
	sti();
	up[id] = true;
	while (!stop)
		seen_id = apic_read(APIC_ID);
}

static void run_with_if1(void *arg)
{
	run_if1(arg);
}

/* In SMM the page is the processor's, and nested paging is off */
static struct vcpu *start_and_hold_in_smm(void)
{
	struct vcpu *v = prepare_guest(1, guest_reads_its_id, false);

	install_smm();
	smm_data.hold = 1;
	seen_id = 0;
	apic_set(v, APIC_ID, 0x55000000);
	*(u32 *)(npt_scratch + APIC_ID) = 0x77000000;
	npt_apic[1] = 0;
	set64(v, V_EXIT_CODE, NOTHING);
	start_on(1, run_with_if1, v);
	CHECK("runs", WAIT(up[1] && seen_id == 0x55000000), 1);
	send_smi(1);
	CHECK("in SMM", WAIT(smm_data.count), 1);
	return v;
}

TEST(smm_is_not_the_guest)
{
	struct vcpu *v = start_and_hold_in_smm();

	CHECK("APIC ID in SMM", smm_data.apic_id, 1 << 24);
	CHECK("exit", get64(v, V_EXIT_CODE), NOTHING);
	seen_id = 0;
	smm_data.hold = 0;
	CHECK("APIC ID after RSM", WAIT(seen_id == 0x55000000), 1);
	finish(v);
}

TEST(smm_holds_virtual_interrupts)
{
	struct vcpu *v = start_and_hold_in_smm();

	vector_set(v, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 1);
	delay();
	CHECK("interrupts in SMM", v->nr_irqs, 0);
	smm_data.hold = 0;
	CHECK("after RSM", WAIT(v->nr_irqs == 1), 1);
	finish(v);
}

TEST(smm_holds_physical_interrupts)
{
	struct vcpu *v = start_and_hold_in_smm();

	apic_write(APIC_ICR2, 1 << 24);
	apic_write(APIC_ICR, 0x55);
	delay();
	CHECK("exit in SMM", get64(v, V_EXIT_CODE), NOTHING);
	smm_data.hold = 0;
	wait_for(1);
	CHECK("exit after RSM", get64(v, V_EXIT_CODE), EXIT_INTR);
	CHECK("it is the host's", WAIT(host_irqs[0x55] == 1), 1);
}

TEST(smi_exits)
{
	struct vcpu *v = prepare_guest(1, guest_spin, false);

	install_smm();
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | INTERCEPT_SMI);
	start_prepared(v);
	CHECK("runs", WAIT(up[1]), 1);
	vector_set(v, APIC_IRR, VECTOR);
	send_smi(1);
	wait_for(1);
	CHECK("exit", get64(v, V_EXIT_CODE), EXIT_SMI);
	CHECK("virtual interrupts", v->nr_irqs, 0);
	CHECK("the SMI is the host's", WAIT(smm_data.count == 1), 1);
}

static void send_nmi(unsigned cpu)
{
	apic_write(APIC_ICR2, cpu << 24);
	apic_write(APIC_ICR, ICR_MODE(4));
}

TEST(nmi_without_intercept)
{
	struct vcpu *v = prepare_guest(1, guest_spin, false);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_NMI);
	v->eoi = false;
	start_prepared(v);
	CHECK("runs", WAIT(up[1]), 1);
	send_nmi(1);
	CHECK("NMI", WAIT(v->nr_irqs == 1), 1);
	CHECK("vector", v->irqs[0], 2);
	CHECK("ISR", vector_get(v, APIC_ISR, 2), 0);
	vector_set(v, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 1);
	CHECK("then others", WAIT(v->nr_irqs == 2), 1);
	CHECK("vector", v->irqs[1], VECTOR);
	send_nmi(1);
	CHECK("not masked", WAIT(v->nr_irqs == 3), 1);
	finish(v);
}

/* NMIs at every point of a guest's traps: each trap exits, and only once */
#define NMIS 100

static volatile u32 traps, nmis, wrong;

static void guest_traps(u64 id)
{
	up[id] = true;
	for (u32 i = 1; !stop; i++)
		apic_write(APIC_LVTT, i);
}

static void run_traps(void *arg)
{
	struct vcpu *v = arg;
	u64 code;

	while ((code = run(v)) == EXIT_NOACCEL || code == EXIT_NMI) {
		if (code == EXIT_NMI) {
			if (++nmis >= NMIS)
				stop = true;
			continue;
		}
		traps++;
		wrong += apic_get(v, APIC_LVTT) != traps ||
			 get64(v, V_RIP) != (u64)ins_write_done ||
			 get64(v, V_EXIT_INFO1) != (NOACCEL_WRITE | APIC_LVTT);
	}
}

TEST(traps_among_nmis)
{
	struct vcpu *v = prepare_guest(1, guest_traps, false);

	traps = nmis = wrong = 0;
	start_on(1, run_traps, v);
	CHECK("runs", WAIT(up[1]), 1);
	for (u32 sent = 1; !stop; sent++) {
		send_nmi(1);
		if (!WAIT(host_irqs[2] == sent))
			break;
	}
	stop = true;
	wait_for(1);
	CHECK("exit", get64(v, V_EXIT_CODE), EXIT_VMMCALL);
	CHECK("NMIs", nmis >= NMIS, 1);
	CHECK("traps", traps > 0, 1);
	CHECK("wrong ones", wrong, 0);
	note("%d traps, %d NMIs", traps, nmis);
}

/* INIT resets the processor in the guest; nothing of AVIC is left behind */
TEST(init_without_intercept)
{
	struct vcpu *v = prepare_guest(2, guest_spin, false);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_INIT);
	set64(v, V_EXIT_CODE, NOTHING);
	start_prepared(v);
	CHECK("runs", WAIT(up[2]), 1);
	apic_write(APIC_ICR2, 2 << 24);
	apic_write(APIC_ICR, 0x4500);
	delay();
	vector_set(v, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 2);
	delay();
	CHECK("exit", get64(v, V_EXIT_CODE), NOTHING);
	CHECK("virtual interrupts", v->nr_irqs, 0);

	CHECK("SIPI", restart(2), 1);
	v = start_guest(2, guest_spin, false);
	CHECK("runs again", WAIT(up[2]), 1);
	vector_set(v, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 2);
	CHECK("interrupt", WAIT(v->nr_irqs == 1), 1);
	finish(v);
}
