// SPDX-License-Identifier: GPL-2.0
/*
 * vm_life none|split|full VCPUS: make a VM with such an irqchip and its vCPUs, and close
 * all.  Before each step its name goes into the trace's marker, for the caller to know what
 * belongs to it: create, first, between, nth, destroy, end.
 *
 * Raw ioctls: no library, so that it runs on any kernel.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "counted.h"
#include "xioctl.h"

#define MAX_VCPUS	64

int main(int argc, char **argv)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	int number = argc == 3 ? atoi(argv[2]) : 0;
	int kvm, vm, i, vcpus[MAX_VCPUS];

	if (number < 2 || number > MAX_VCPUS)
		errx(2, "usage: vm_life none|split|full VCPUS, 2 to %d", MAX_VCPUS);
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "/dev/kvm");

	mark("create");
	vm = xioctl(kvm, KVM_CREATE_VM, 0);
	if (!strcmp(argv[1], "split"))
		xioctl(vm, KVM_ENABLE_CAP, &split);
	else if (!strcmp(argv[1], "full"))
		xioctl(vm, KVM_CREATE_IRQCHIP, 0);
	for (i = 0; i < number; i++) {
		mark(!i ? "first" : i == number - 1 ? "nth" : "between");
		vcpus[i] = xioctl(vm, KVM_CREATE_VCPU, i);
	}
	mark("destroy");
	for (i = 0; i < number; i++)
		close(vcpus[i]);
	close(vm);
	mark("end");
	return 0;
}
