// SPDX-License-Identifier: GPL-2.0
/*
 * Does creating a vCPU a second time take the first one's interrupts away?
 *
 * KVM refuses an ID that is taken.  Up to v7.2 it does so after it has pointed
 * the AVIC Physical ID table at the new vCPU's page, which is then freed: an
 * IPI to that ID sets a bit there, and the vCPU that halts never wakes up.
 */
#include "vm.h"

#define VECTOR	0x40

int main(void)
{
	struct vcpu *first = &vcpus[0], *second = &vcpus[1];

	new_vm(false);
	add_vcpu(0, 0);
	add_vcpu(1, 1);
	check(ioctl(vm, KVM_CREATE_VCPU, 0) < 0 && errno == EEXIST,
	      "KVM creates vCPU0 twice");
	start_vcpu(0, false);
	start_vcpu(1, false);

	halt(first);
	send_ipi(second, first->id, ASSERT | VECTOR);
	expect(first, VECTOR, 1, "IPI to an ID that was to be created twice");
	return 0;
}
