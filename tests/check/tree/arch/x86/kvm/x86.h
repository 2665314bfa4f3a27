/* SPDX-License-Identifier: GPL-2.0 */
#ifdef __CHECKER__
#define __user __attribute__((noderef, address_space(__user)))
#else
#define __user
#endif
#define GFP 0

struct vcpu {
	int id;
	int mode;
};

struct arch {
	unsigned long apicv_inhibit_reasons;
};

struct kvm {
	struct arch arch;
	int hnode;
};

enum { APICV_INHIBIT_REASON_IRQWIN = 3 };

struct vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, int id);
void kvm_vcpu_wake_up(struct vcpu *vcpu);
void spin_lock_irqsave(int *lock, unsigned long flags);
void spin_unlock_irqrestore(int *lock, unsigned long flags);
void hash_add(int *table, int *node, int key);
void hash_del(int *node);
void kvm_set_apicv_inhibit(struct kvm *kvm, int reason);
void avic_add(struct kvm *kvm);
void avic_remove(struct kvm *kvm);
int avic_notifier(struct kvm *kvm, int id);
int kvm_mode(struct vcpu *vcpu);
int kvm_first(int *ids);
int kvm_last(int *ids);
#ifdef CONFIG_KVM_SMM
int kvm_smm(struct vcpu *vcpu);
#endif
