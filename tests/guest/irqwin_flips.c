// SPDX-License-Identifier: GPL-2.0
/*
 * irqwin_flips [VCPUS together|alone EXTINTS]: how often do IRQ windows toggle
 * the VM's APICv inhibit?
 *
 * With arguments: each of VCPUS takes its share of EXTINTS, each with a window
 * of its own.  The windows of all vCPUs are open together, or only one at a time.
 *
 * Without: while another vCPU waits for a window all the time.  vCPU0 has an
 * ExtINT pending and keeps IRQs off, vCPU1 then takes ROUNDS ExtINTs, each with
 * a window of its own, and at last vCPU0 enables IRQs.
 *
 * Every ExtINT must arrive.  The caller counts kvm_apicv_inhibit_changed.
 */
#include "in_turn.h"

#define ROUNDS		100
#define VECTOR		0x40

/* Make an ExtINT pending with IRQs off, and let KVM request the window. */
static void open_window(struct vcpu *vcpu)
{
	run_to(vcpu, PORT_OPEN);
	run_to(vcpu, PORT_CLOSED);
	extint(vcpu, VECTOR);
	run_to(vcpu, PORT_WAITING);
}

/* Returns how many arrived: all of them, or those before the first one that did not. */
static int share(struct vcpu *vcpus, int number, bool together, int extints)
{
	int taken = 0, i;

	while (taken < extints) {
		for (i = 0; i < number; i++) {
			open_window(&vcpus[i]);
			if (!together && !arrives(&vcpus[i]))
				return taken + i;
		}
		for (i = 0; together && i < number; i++)
			if (!arrives(&vcpus[i]))
				return taken + i;
		taken += number;
	}
	return taken;
}

int main(int argc, char **argv)
{
	int round, i, number = argc == 4 ? atoi(argv[1]) : 2;
	struct vcpu vcpus[MAX_VCPUS];

	if ((argc != 1 && argc != 4) || number < 1 || number > MAX_VCPUS)
		errx(2, "usage: irqwin_flips [VCPUS together|alone EXTINTS], with at most %d", MAX_VCPUS);

	new_vm(false);
	handle(VECTOR, HANDLER_PLAIN);
	for (i = 0; i < number; i++)
		vcpus[i] = add_vcpu(i);

	if (argc == 4) {
		round = share(vcpus, number, !strcmp(argv[2], "together"), atoi(argv[3]));
		printf("%d of %s ExtINTs arrived\n", round, argv[3]);
		return round != atoi(argv[3]);
	}
	open_window(&vcpus[0]);
	for (round = 0; round < ROUNDS; round++) {
		open_window(&vcpus[1]);
		run_to(&vcpus[1], PORT_TAKEN);
	}
	run_to(&vcpus[0], PORT_TAKEN);
	printf("%d of %d ExtINTs arrived\n", round + 1, ROUNDS + 1);
	return 0;
}
