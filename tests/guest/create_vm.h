/* SPDX-License-Identifier: GPL-2.0 */
/*
 * create_vm(&kvm, full_irqchip): a VM with KVM's full irqchip or the split one;
 * kvm becomes /dev/kvm.
 */
#ifndef CREATE_VM_H
#define CREATE_VM_H

#include <fcntl.h>
#include <stdbool.h>
#include <linux/kvm.h>

#include "xioctl.h"

static inline int create_vm(int *kvm, bool full_irqchip)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	int vm;

	*kvm = open("/dev/kvm", O_RDWR);
	if (*kvm < 0)
		err(1, "/dev/kvm");
	vm = xioctl(*kvm, KVM_CREATE_VM, 0);
	if (full_irqchip)
		xioctl(vm, KVM_CREATE_IRQCHIP, 0);
	else
		xioctl(vm, KVM_ENABLE_CAP, &split);
	return vm;
}

#endif
