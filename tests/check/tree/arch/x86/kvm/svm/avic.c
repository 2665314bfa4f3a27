// SPDX-License-Identifier: GPL-2.0
#include "x86.h"

static int svm_vm_data_hash_lock;
static int svm_vm_data_hash;

void avic_add(struct kvm *kvm)
{
	unsigned long flags = 0;

	spin_lock_irqsave(&svm_vm_data_hash_lock, flags);
	hash_add(&svm_vm_data_hash, &kvm->hnode, 1);
	spin_unlock_irqrestore(&svm_vm_data_hash_lock, flags);
}

void avic_remove(struct kvm *kvm)
{
	unsigned long flags = 0;

	spin_lock_irqsave(&svm_vm_data_hash_lock, flags);
	hash_del(&kvm->hnode);
	spin_unlock_irqrestore(&svm_vm_data_hash_lock, flags);
}

int avic_notifier(struct kvm *kvm, int id)
{
	unsigned long flags = 0;
	struct vcpu *vcpu;

	spin_lock_irqsave(&svm_vm_data_hash_lock, flags);
	vcpu = kvm_get_vcpu_by_id(kvm, id);
	if (vcpu)
		kvm_vcpu_wake_up(vcpu);
	spin_unlock_irqrestore(&svm_vm_data_hash_lock, flags);

	return 0;
}
