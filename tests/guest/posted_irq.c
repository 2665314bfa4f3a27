// SPDX-License-Identifier: GPL-2.0
/*
 * posted_irq -d DEVICE [-i N] [-r] [-x]: MSIs of a device that VFIO has, sent to a vCPU.
 *
 * Where AVIC and the IOMMU work together nobody on the host takes part: a vCPU that
 * runs gets a doorbell from the IOMMU, one that is halted is woken by way of the GA
 * Log.  This program sees that each interrupt arrives.  How it got there is for whoever
 * counts the host's interrupts and the log's entries: ci/guest/run-plan.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "msi_device.h"

#define VECTOR		0x60

static void help(void)
{
	/* ci/run/device-tests looks for these options in here. */
	printf("usage: posted_irq -d DEVICE [-i N] [-r] [-x]\n"
	       "-d\tthe PCI device, as 0000:00:04.0; vfio-pci has to have it\n"
	       "-i\thow many interrupts (100)\n"
	       "-r\tto a vCPU that runs; else each finds it halted\n"
	       "-x\tthe guest's APIC is an xAPIC, not an x2APIC\n");
	exit(2);
}

int main(int argc, char **argv)
{
	bool runs = false, x2apic = true;
	struct vcpu *vcpu = &vcpus[1];
	uint32_t i, count = 100, before;
	volatile uint32_t *taken;
	struct kind kind;
	int option;

	while ((option = getopt(argc, argv, "d:i:rx")) != -1) {
		switch (option) {
		case 'd':
			address = optarg;
			break;
		case 'i':
			count = atoi(optarg);
			break;
		case 'r':
			runs = true;
			break;
		case 'x':
			x2apic = false;
			break;
		default:
			help();
		}
	}
	if (!address || !count || optind != argc)
		help();
	kind = start_with_device(VECTOR, x2apic);

	taken = &vcpu->mailbox->taken[VECTOR];
	for (i = 1; i <= count; i++) {
		if (!runs)
			halt(vcpu);
		before = *taken;
		kind.send();
		check(within(*taken != before), "%s: interrupt %u of %u did not arrive", address, i, count);
		if (!runs)
			finish(vcpu, "an interrupt of the device");
	}
	/* More are what the device has said of its own, e.g. that a port has changed. */
	printf("%u interrupts of %s were sent, %u arrived\n", count, address, *taken);
	return 0;
}
