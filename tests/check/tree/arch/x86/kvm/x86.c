// SPDX-License-Identifier: GPL-2.0
#include "x86.h"

int kvm_first(int *ids)
{
	int first_unused;

	return ids[0];
}

int kvm_mode(struct vcpu *vcpu)
{
	if (!vcpu)
		return 0;

	return vcpu->mode;
}

int kvm_last(int *ids)
{
	return ids[7];
}

#ifdef CONFIG_KVM_SMM
int kvm_smm(struct vcpu *vcpu)
{
	return vcpu->mode & 1;
}
#endif
