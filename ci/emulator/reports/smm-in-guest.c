// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An SMI that is not intercepted comes while a guest runs. Its handler is not
 * part of the guest: it has no nested paging.
 */
#include "lib.h"

static volatile bool running;

static void spin(u64 arg)
{
	(void)arg;
	running = true;
	while (!stop)
		pause();
}

static void run_it(void *arg)
{
	run_if1(arg);
}

TEST(smm_is_not_the_guest)
{
	struct vcpu *v = vcpu_init(1, spin, 0);

	install_smm();
	/* The guest has this page where the APIC is */
	*(u32 *)(npt_scratch + APIC_ID) = 0x77000000;
	start_on(1, run_it, v);
	CHECK("guest runs", WAIT(running), 1);
	send_smi(1);
	CHECK("in SMM", WAIT(smm_data.count), 1);
	CHECK("APIC ID as SMM sees it", smm_data.apic_id, 1 << 24);
	stop = true;
	wait_for(1);
	CHECK("exit", get64(v, V_EXIT_CODE), EXIT_VMMCALL);
}

TEST(no_exit_in_smm)
{
	struct vcpu *v = vcpu_init(1, spin, 0);

	install_smm();
	smm_data.hold = 1;
	stop = running = false;
	set64(v, V_EXIT_CODE, 0x1234);
	start_on(1, run_it, v);
	CHECK("guest runs", WAIT(running), 1);
	send_smi(1);
	CHECK("in SMM", WAIT(smm_data.count), 1);
	/* The intercept of INTR is set, but SMM has interrupts off */
	apic_write(APIC_ICR2, 1 << 24);
	apic_write(APIC_ICR, 0x55);
	delay();
	CHECK("exit while in SMM", get64(v, V_EXIT_CODE), 0x1234);
	smm_data.hold = 0;
	stop = true;
	wait_for(1);
}
