/* SPDX-License-Identifier: GPL-2.0 */
/* set_cpuid(kvm, fd): a vCPU gets all that KVM supports. */
#ifndef SET_CPUID_H
#define SET_CPUID_H

#include <linux/kvm.h>

#include "xioctl.h"

static inline void set_cpuid(int kvm, int fd)
{
	static struct { struct kvm_cpuid2 cpuid; struct kvm_cpuid_entry2 entries[256]; } all;

	all.cpuid.nent = 256;
	xioctl(kvm, KVM_GET_SUPPORTED_CPUID, &all);
	xioctl(fd, KVM_SET_CPUID2, &all);
}

#endif
