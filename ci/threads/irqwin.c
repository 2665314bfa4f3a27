// SPDX-License-Identifier: GPL-2.0
/*
 * The IRQ-window protocol with real threads: each vCPU is one, and others raise and withdraw
 * ExtINTs, and toggle another inhibit.  ci/models/irqwin.pml goes through all interleavings of
 * a model; here it is the tree's own code, so that the two can't drift apart unseen.
 *
 * What is taken out of the tree, FILE: FUNCTION...; for FUNCTION|OLDER, older bases have OLDER.
 *
 * take arch/x86/kvm/x86.c: kvm_apicv_activated kvm_vcpu_apicv_activated
 * take arch/x86/kvm/x86.c: set_or_clear_apicv_inhibit __kvm_set_or_clear_apicv_inhibit
 * take arch/x86/kvm/x86.c: kvm_set_or_clear_apicv_inhibit kvm_inc_or_dec_irq_window_inhibit
 * take arch/x86/kvm/x86.c: __kvm_vcpu_update_apicv|kvm_vcpu_update_apicv
 * take arch/x86/kvm/svm/svm.c: svm_put_irq_window svm_set_vintr svm_clear_vintr svm_inject_irq
 * take arch/x86/kvm/svm/svm.c: svm_enable_irq_window svm_cancel_irq_window svm_update_irq_window
 */
#include "kernel.h"

#define VCPUS		3
#define ROUNDS		3000	/* what each thread beside the vCPUs does */
#define STEPS		10000	/* until a vCPU is quiet in the end */

enum kvm_apicv_inhibit {
	APICV_INHIBIT_REASON_DISABLED,
	APICV_INHIBIT_REASON_IRQWIN,
	APICV_INHIBIT_REASON_BLOCKIRQ,
	NR_APICV_INHIBIT_REASONS,
};

enum { OUTSIDE_GUEST_MODE, IN_GUEST_MODE };
enum { KVM_REQ_EVENT, KVM_REQ_APICV_UPDATE };
enum { LAPIC_MODE_DISABLED, LAPIC_MODE_XAPIC };
enum { INTERCEPT_VINTR };
enum { VMCB_INTR };

#define V_IRQ_MASK			BIT(8)
#define V_INTR_PRIO_SHIFT		16
#define V_INTR_PRIO_MASK		(0xfUL << V_INTR_PRIO_SHIFT)
#define V_TPR_MASK			0xfUL
#define V_IGN_TPR_MASK			BIT(20)
#define V_IRQ_INJECTION_BITS_MASK	(V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK)
#define SVM_EVTINJ_VALID		BIT(31)
#define SVM_EVTINJ_TYPE_SOFT		(4UL << 8)
#define SVM_EVTINJ_TYPE_INTR		0UL
#define APIC_DEFAULT_PHYS_BASE		0xfee00000UL

struct kvm_arch {
	struct rw_semaphore apicv_update_lock;
	atomic_t apicv_nr_irq_window_req;
	word_t apicv_inhibit_reasons;
};

struct kvm_vcpu;

struct kvm {
	struct kvm_arch arch;
	int srcu;
	struct kvm_vcpu *vcpus[VCPUS];
};

struct kvm_lapic {
	bool apicv_active;
};

struct kvm_queued_interrupt {
	bool injected, soft;
	u8 nr;
};

struct kvm_vcpu {
	struct kvm *kvm;
	struct {
		struct kvm_lapic *apic;
		struct kvm_queued_interrupt interrupt;
	} arch;
	struct {
		u64 irq_injections;
	} stat;
	int mode;
	u32 requests;
	int extint;		/* is pending; the PIC and the vCPU take it from each other */
};

struct vmcb_control_area {
	u32 intercepts, int_ctl, int_vector, event_inj;
};

struct vmcb {
	struct vmcb_control_area control;
};

struct vcpu_svm {
	struct kvm_vcpu vcpu;
	struct kvm_lapic apic;
	struct vmcb page;
	struct vmcb *vmcb;
	struct {
		struct vmcb *ptr;
	} vmcb01;
	struct {
		struct vmcb_control_area ctl;
	} nested;
	bool avic_irq_window;

	/* The guest's own. */
	bool irqs_enabled, irr;
	u32 random, nr_extints;
};

static const bool enable_apicv = true, vgif = true;
static const struct {
	unsigned long required_apicv_inhibits;
} kvm_x86_ops = { ~0UL };

struct trace_print_flags {
	int unused;
};

#define APICV_INHIBIT_REASONS	{ 0 }, { 0 }, { 0 }
#define trace_kvm_apicv_inhibit_changed(reason, set, inhibits)	((void)(set))
#define trace_kvm_inj_virq(nr, soft, reinjected)		((void)(reinjected))

static struct vcpu_svm *to_svm(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct vcpu_svm, vcpu);
}

#define is_guest_mode(vcpu)			false
#define gif_set(svm)				true
#define lapic_in_kernel(vcpu)			true
#define kvm_get_apic_mode(vcpu)			LAPIC_MODE_XAPIC
#define kvm_apic_update_apicv(vcpu)		((void)0)
#define kvm_apic_update_hwapic_isr(vcpu)	((void)0)
#define kvm_zap_gfn_range(kvm, start, end)	((void)gfn)
#define gpa_to_gfn(gpa)				((gpa) >> 12)
#define vmcb_mark_dirty(vmcb, bit)		((void)0)
#define svm_update_soft_interrupt_rip(vcpu, ...)	0
#define kvm_vcpu_apicv_active(vcpu)		((vcpu)->arch.apic->apicv_active)
#define kvm_cpu_has_extint(vcpu)		smp_load(&(vcpu)->extint)
#define kvm_dm_wants_irq_window(vcpu)		false
#define kvm_inc_apicv_irq_window_req(kvm)	kvm_inc_or_dec_irq_window_inhibit(kvm, true)
#define kvm_dec_apicv_irq_window_req(kvm)	kvm_inc_or_dec_irq_window_inhibit(kvm, false)

static bool vmcb_is_intercept(struct vmcb_control_area *control, u32 bit)
{
	return control->intercepts & BIT(bit);
}

#define svm_is_intercept(svm, bit)	vmcb_is_intercept(&(svm)->vmcb->control, bit)
#define svm_set_intercept(svm, bit)	((svm)->vmcb->control.intercepts |= BIT(bit))
#define svm_clr_intercept(svm, bit)	((svm)->vmcb->control.intercepts &= ~BIT(bit))

static void kvm_make_request(int request, struct kvm_vcpu *vcpu)
{
	__atomic_fetch_or(&vcpu->requests, BIT(request), __ATOMIC_SEQ_CST);
}

static bool kvm_check_request(int request, struct kvm_vcpu *vcpu)
{
	return __atomic_fetch_and(&vcpu->requests, ~(u32)BIT(request), __ATOMIC_SEQ_CST) & BIT(request);
}

/* Waits for the vCPUs that run, as the kernel does for this request. */
static void kvm_make_all_cpus_request(struct kvm *kvm, int request)
{
	int i;

	for (i = 0; i < VCPUS; i++)
		kvm_make_request(request, kvm->vcpus[i]);
	for (i = 0; i < VCPUS; i++)
		while (smp_load(&kvm->vcpus[i]->mode) == IN_GUEST_MODE)
			sched_yield();
}

#define kvm_x86_call(name)			call_##name
#define static_call(name)			name
#define static_call_cond(name)			name
#define kvm_x86_refresh_apicv_exec_ctrl		call_refresh_apicv_exec_ctrl
#define kvm_x86_check_apicv_inhibit_reasons(reason)	true
#define kvm_x86_vcpu_get_apicv_inhibit_reasons	call_vcpu_get_apicv_inhibit_reasons
#define call_vcpu_get_apicv_inhibit_reasons(vcpu)	0UL

static void svm_clear_vintr(struct vcpu_svm *svm);

/* avic_refresh_apicv_exec_ctrl(): a window that is open when AVIC goes on is dropped. */
static void call_refresh_apicv_exec_ctrl(struct kvm_vcpu *vcpu)
{
	if (kvm_vcpu_apicv_active(vcpu))
		svm_clear_vintr(to_svm(vcpu));
}

#include "taken.h"

static int vcpus_quiet;		/* once nothing is raised or toggled any more */
static int threads_done;	/* of the two beside the vCPUs */
static bool raised_all;
static u32 nr_raised, nr_withdrawn;

static bool injectable(struct vcpu_svm *svm)
{
	return kvm_cpu_has_extint(&svm->vcpu) || (svm->irr && !kvm_vcpu_apicv_active(&svm->vcpu));
}

/* kvm_check_and_inject_events() */
static void inject_events(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;

	if (vcpu->arch.interrupt.injected) {
		svm_inject_irq(vcpu, true);
	} else if (injectable(svm) && svm->irqs_enabled) {
		/* The PIC's goes first. */
		if (__atomic_exchange_n(&vcpu->extint, 0, __ATOMIC_SEQ_CST)) {
			vcpu->arch.interrupt.nr = 1;
		} else if (svm->irr) {
			svm->irr = false;
			vcpu->arch.interrupt.nr = 0;
		} else {
			return;
		}
		vcpu->arch.interrupt.injected = true;
		svm_inject_irq(vcpu, false);
	}
	if (injectable(svm))
		svm_enable_irq_window(vcpu);
}

/* What the guest does until the next exit. */
static void run_guest(struct vcpu_svm *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct kvm_vcpu *vcpu = &svm->vcpu;

	if (control->event_inj) {
		check(svm->irqs_enabled, "injected_with_irqs_disabled");
		svm->nr_extints += vcpu->arch.interrupt.nr;
		control->event_inj = 0;
		vcpu->arch.interrupt.injected = false;
	}

	switch (smp_load(&raised_all) ? 0 : pick(&svm->random, 6)) {
	case 0:
	case 1:
		svm->irqs_enabled = true;
		break;
	case 2:
	case 3:
		svm->irqs_enabled = false;
		break;
	case 4:
		svm->irr = true;
		if (!kvm_vcpu_apicv_active(vcpu))
			kvm_make_request(KVM_REQ_EVENT, vcpu);
		break;
	}
	if (svm->irqs_enabled && kvm_vcpu_apicv_active(vcpu))
		svm->irr = false;

	/* AVIC ignores V_IRQ. */
	if (svm->irqs_enabled && !kvm_vcpu_apicv_active(vcpu) && control->int_ctl & V_IRQ_MASK) {
		check(svm_is_intercept(svm, INTERCEPT_VINTR), "spurious");
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		svm_clear_vintr(svm);
	}
}

/* vcpu_enter_guest() */
static void enter_guest(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;

	if (kvm_check_request(KVM_REQ_APICV_UPDATE, vcpu))
		__kvm_vcpu_update_apicv(vcpu);

	if (kvm_check_request(KVM_REQ_EVENT, vcpu)) {
		inject_events(svm);
		svm_update_irq_window(vcpu);
	}

	smp_store(&vcpu->mode, IN_GUEST_MODE);
	if (smp_load(&vcpu->requests)) {
		smp_store(&vcpu->mode, OUTSIDE_GUEST_MODE);
		/* What was to be injected is injected anew. */
		svm->vmcb->control.event_inj = 0;
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		return;
	}

	/* vcpu_enter_guest() warns of it. */
	check(kvm_vcpu_apicv_activated(vcpu) == kvm_vcpu_apicv_active(vcpu), "stale_entry");
	/* The window could not open. */
	check(!svm->avic_irq_window || !kvm_vcpu_apicv_active(vcpu), "uncounted");
	run_guest(svm);
	smp_store(&vcpu->mode, OUTSIDE_GUEST_MODE);
}

/* vcpu_block() */
static void halt(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;
	int i;

	if (svm->irqs_enabled && (kvm_cpu_has_extint(vcpu) || svm->irr))
		return;

	svm_cancel_irq_window(vcpu);
	for (i = 0; i < 20 && !(svm->irqs_enabled && kvm_cpu_has_extint(vcpu)); i++)
		sched_yield();
}

static bool quiet(struct vcpu_svm *svm)
{
	return svm->irqs_enabled && !svm->irr && !svm->vcpu.arch.interrupt.injected &&
	       !smp_load(&svm->vcpu.requests) && !kvm_cpu_has_extint(&svm->vcpu);
}

static void *vcpu_main(void *arg)
{
	struct vcpu_svm *svm = arg;
	bool counted = false;
	int steps = 0;

	while (smp_load(&vcpus_quiet) < VCPUS) {
		if (pick(&svm->random, 8))
			enter_guest(svm);
		else
			halt(svm);
		if (smp_load(&threads_done) != 2 || counted)
			continue;
		/* Requests still come while other vCPUs have something to do. */
		counted = quiet(svm);
		if (counted)
			__atomic_fetch_add(&vcpus_quiet, 1, __ATOMIC_SEQ_CST);
		else
			check(++steps < STEPS, "stuck");
	}
	/* What the last one asked for. */
	while (!quiet(svm))
		enter_guest(svm);
	return NULL;
}

static void *pic_main(void *arg)
{
	struct kvm *kvm = arg;
	u32 random = seeded(VCPUS);
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct kvm_vcpu *vcpu = kvm->vcpus[pick(&random, VCPUS)];

		if (pick(&random, 3)) {
			nr_raised += !__atomic_exchange_n(&vcpu->extint, 1, __ATOMIC_SEQ_CST);
			kvm_make_request(KVM_REQ_EVENT, vcpu);
		} else {
			nr_withdrawn += __atomic_exchange_n(&vcpu->extint, 0, __ATOMIC_SEQ_CST);
			kvm_make_request(KVM_REQ_EVENT, vcpu);
		}
		sched_yield();
	}
	smp_store(&raised_all, true);
	__atomic_fetch_add(&threads_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *toggler_main(void *arg)
{
	struct kvm *kvm = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		kvm_set_or_clear_apicv_inhibit(kvm, APICV_INHIBIT_REASON_BLOCKIRQ, !(i % 2));
		sched_yield();
	}
	__atomic_fetch_add(&threads_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct vcpu_svm svms[VCPUS];
	static struct kvm kvm;
	pthread_t threads[VCPUS + 2];
	u32 nr_extints = 0, windows = 0;
	int i;

	seed = argc > 1 ? atoi(argv[1]) : 1;
	init_rwsem(&kvm.arch.apicv_update_lock);
	for (i = 0; i < VCPUS; i++) {
		svms[i].vmcb = svms[i].vmcb01.ptr = &svms[i].page;
		svms[i].vcpu.kvm = &kvm;
		svms[i].vcpu.arch.apic = &svms[i].apic;
		svms[i].apic.apicv_active = true;
		svms[i].random = seeded(i);
		kvm.vcpus[i] = &svms[i].vcpu;
	}

	for (i = 0; i < VCPUS; i++)
		pthread_create(&threads[i], NULL, vcpu_main, &svms[i]);
	pthread_create(&threads[VCPUS], NULL, pic_main, &kvm);
	pthread_create(&threads[VCPUS + 1], NULL, toggler_main, &kvm);
	for (i = 0; i < VCPUS + 2; i++)
		pthread_join(threads[i], NULL);

	for (i = 0; i < VCPUS; i++) {
		nr_extints += svms[i].nr_extints;
		windows += svms[i].avic_irq_window;
	}
	check(nr_extints + nr_withdrawn == nr_raised, "lost");
	check(atomic_read(&kvm.arch.apicv_nr_irq_window_req) == (int)windows, "miscounted");
	check(!windows, "leak");
	check(!kvm.arch.apicv_inhibit_reasons, "inhibited_in_the_end");
	for (i = 0; i < VCPUS; i++)
		check(kvm_vcpu_apicv_active(&svms[i].vcpu), "inhibited_in_the_end");
	printf("holds: %u ExtINTs raised, %u injected, %u withdrawn\n", nr_raised, nr_extints, nr_withdrawn);
	return 0;
}
