/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The IRQ-window protocol: arch/x86/kvm/svm/svm.c, x86.c and nested.c.
 *
 * Each vCPU is a process: vcpu_run(), with its guest and its userspace in it. The others
 * raise and withdraw interrupts, and toggle another inhibit. All of them do so a few times
 * only, so there is an end, at which AVIC has to be on again (monitor).
 *
 * vCPU 0 can run L2, and CLGI and STGI, with vGIF or without. L1's own V_IRQ, vGIF for L2, SMM,
 * exceptions, and KVM_GUESTDBG_BLOCKIRQ are left out.
 *
 * A step that others can't tell from several is one. What runs with apicv_update_lock held
 * for read is a step, as nothing that it reads changes meanwhile.
 *
 * NO_<patch> leaves a patch of the stack out, as ci/models/table has it. BREAK_<name> is a
 * fault. The rest is the scenario: how many vCPUs, and how often what happens.
 */
#ifndef VCPUS
#define VCPUS 2
#endif
#ifndef RAISES		/* by the PIC's output, which reaches all vCPUs */
#define RAISES 0
#endif
#ifndef WITHDRAWALS	/* of the PIC's output, or of a Xen upcall */
#define WITHDRAWALS 0
#endif
#ifndef TOGGLES		/* of another inhibit: set and cleared */
#define TOGGLES 0
#endif
#ifndef APIC		/* interrupts of the local APIC */
#define APIC 0
#endif
#ifndef UPCALLS		/* by Xen, to vCPU 0 */
#define UPCALLS 0
#endif
#ifndef NMIS
#define NMIS 0
#endif
#ifndef INITS		/* for the last vCPU, which then waits for SIPI */
#define INITS 0
#endif
#ifndef CLIS		/* for each vCPU */
#define CLIS 0
#endif
#ifndef MASKED		/* vCPUs that begin with IRQs disabled */
#define MASKED 0
#endif
#ifndef USER		/* exits to userspace, for each vCPU; the PIC is there, too */
#define USER 0
#endif
#ifndef VMRUNS		/* by vCPU 0 */
#define VMRUNS 0
#endif
#ifndef CLGIS		/* by vCPU 0 */
#define CLGIS 0
#endif
#ifndef VGIF		/* CLGI and STGI aren't intercepted */
#define VGIF 0
#endif

/* What is wrong, for the checker's message. */
mtype = { any, uncounted, underflow, stale_entry, lost, leak, flips, needless, counted_for_apic, spurious, stuck };
#ifndef HALTS		/* 0: no vCPU halts; 1: each does when it can; 2: each may be of either kind */
#define HALTS 2
#endif
#ifndef ONLY		/* what to look for */
#define ONLY any
#endif
#define checked(what) (ONLY == any || ONLY == what)
#define FAIL(what) assert(!checked(what) || is_##what)
hidden byte is_uncounted, is_underflow, is_stale_entry, is_lost, is_leak, is_flips, is_needless,
	is_counted_for_apic, is_spurious, is_stuck;

/* kvm->arch.apicv_inhibit_reasons */
#define IRQWIN	1
#define OTHER	2
#define XEN	4
#define others	(reasons & (OTHER | XEN))
#if UPCALLS && !defined(NO_irqwin_xen)
#define XEN_INHIBIT XEN
#else
#define XEN_INHIBIT 0
#endif

byte reasons = 0;
byte windows = 0;		/* apicv_nr_irq_window_req */
bit update_lock = 0;		/* apicv_update_lock, held for write */
bit pic = 0;			/* the PIC's output */
byte credit = 0;		/* how often causes so far may still flip AVIC */

bit avic_on[VCPUS];		/* apicv_active */
bit update[VCPUS];		/* KVM_REQ_APICV_UPDATE */
bit event[VCPUS];		/* KVM_REQ_EVENT */
bit running[VCPUS];		/* IN_GUEST_MODE */
bit irr[VCPUS];
bit upcall = 0;			/* evtchn_upcall_pending, of vCPU 0 */
bit nmi[VCPUS];
bit init_ipi[VCPUS];

/* What only the vCPU itself reads and writes is in its process, for the checker's sake. */
#if RAISES
#define extint		(pic && !dead)
#elif UPCALLS
#define extint		(upcall && i == 0)
#elif USER
#define extint		vector
#else
#define extint		false
#endif
#if RAISES
#define acknowledge	pic = 0
#elif USER
#define acknowledge	vector = 0
#else
#define acknowledge	skip		/* an upcall's handler does */
#endif
#define dm_wants	(request && !extint && !dead)
#define allowed		(gif && !dead && (nested && masking -> l1_iflag : iflag))
#define interrupt	(extint || irr[i])
#define injectable	(extint || (irr[i] && (nested || !avic_on[i])))
/* What a window is kept for. */
#ifdef NO_irqwin_extint_only
#define awaited	injectable
#else
#define awaited	extint
#endif
/* svm_is_intercept(), of VINTR.  What L2 does can't open a window for L1 that has IRQs disabled. */
#define intercepted	((vintr && !(nested && masking && !l1_iflag)) || (nested && traps))
/* The CPU takes V_IRQ, which RFLAGS.IF of L2 masks, as KVM uses V_INTR_MASKING. */
#define taken		(iflag && gif && (nested -> virq02 : virq && !avic_on[i]))
#define runnable	(init_ipi[i] || nmi[i] || (allowed && interrupt))

#if VCPUS == 3
#define none_running	(!running[0] && !running[1] && !running[2])
#define each_vcpu(what)	what(0); what(1); what(2)
#else
#define none_running	(!running[0] && !running[1])
#define each_vcpu(what)	what(0); what(1)
#endif
#define ask(i)		update[i] = 1

#ifdef FLIPS
#define caused(n)	credit = credit + n
#else
#define caused(n)	skip
#endif

/* The rest of __kvm_set_or_clear_apicv_inhibit(), and of who holds the lock for write. */
inline set_reasons(new)
{
	if
	:: ((reasons == 0) != (new == 0)) ->
		d_step {
#ifdef FLIPS
			if
			:: credit == 0 -> FAIL(flips)
			:: else -> credit--
			fi;
#endif
#ifdef BREAK_inhibit_before_request
			reasons = new
		};
		d_step {
#endif
			each_vcpu(ask)
		};
		atomic { none_running -> reasons = new; update_lock = 0 }
	:: else -> atomic { reasons = new; update_lock = 0 }
	fi
}

/* kvm_set_or_clear_apicv_inhibit() */
inline set_or_clear(reason, set)
{
	atomic {
		!update_lock -> update_lock = 1;
#if defined(NO_irqwin_count)
		new = (set -> reasons | reason : reasons & (7 - reason))
#elif defined(BREAK_irqwin_bit_not_derived)
		new = (set -> reasons | reason : reasons & (7 - reason))
#else
		new = (set -> others | reason : others & (7 - reason)) | (windows -> IRQWIN : 0)
#endif
	};
	set_reasons(new)
}

/* kvm_inc_or_dec_irq_window_inhibit() */
inline change_windows(inc)
{
#ifdef NO_irqwin_count
	set_or_clear(IRQWIN, inc)
#else
#ifdef NO_irqwin_fastpath
	fast = 0;
#else
	fast = (others != 0);
	if
	:: atomic { fast && !update_lock ->
#ifndef BREAK_irqwin_no_second_look
		fast = (others != 0);
#endif
		if
		:: fast && !inc && windows == 0 -> FAIL(underflow)
		:: fast && (inc || windows) -> windows = (inc -> windows + 1 : windows - 1)
		:: else
		fi }
	:: !fast
	fi;
#endif
	if
	:: fast
	:: atomic { !fast && !update_lock ->
		if
		:: !inc && windows == 0 -> FAIL(underflow)
		:: else -> windows = (inc -> windows + 1 : windows - 1)
		fi;
		if
#ifdef BREAK_irqwin_condition_inverted
		:: windows != inc ->
#else
		:: windows == inc ->
#endif
			update_lock = 1; new = others | (windows -> IRQWIN : 0)
		:: else -> new = 255
		fi };
		if
		:: new == 255
		:: else -> set_reasons(new)
		fi
	fi
#endif
}

/* __kvm_vcpu_update_apicv() */
inline update_apicv()
{
	atomic {
		!update_lock ->
		if
		:: avic_on[i] != (reasons == 0 && !nested) ->
			avic_on[i] = !avic_on[i];
			if
			:: !avic_on[i] -> event[i] = 1
			:: else ->
#ifndef NO_irqwin_extint_only
				vintr = 0;
#ifndef BREAK_irqwin_virq_left
				virq = 0
#endif
#else
				skip
#endif
			fi
		:: else
		fi
	}
}

/* svm_set_vintr() */
inline set_vintr()
{
	vintr = 1;
	if
	:: intercepted && nested -> virq02 = 1
	:: intercepted && !nested -> virq = 1
	:: else
	fi
}

/* svm_clear_vintr() */
inline clear_vintr()
{
	vintr = 0; virq02 = 0;
#ifdef BREAK_virq_left_behind
	virq = virq && nested
#else
	virq = 0
#endif
}

/* svm_enable_irq_window() */
inline enable_irq_window()
{
	if
	:: VGIF || gif ->
		if
#if defined(NO_irqwin_count)
		:: !nested -> change_windows(1)
#elif defined(NO_irqwin_extint_only)
		:: !window && !nested -> window = 1; change_windows(1)
#else
		:: !window && !nested && (avic_on[i] || extint) -> window = 1; change_windows(1)
#endif
		:: else
		fi;
		d_step { set_vintr() }
	:: else
	fi
}

/* svm_put_irq_window() */
inline put_window()
{
	window = 0;
	change_windows(0)
}

/* svm_inject_irq() */
inline inject_irq()
{
	if
#ifdef NO_irqwin_count
	:: false
#elif defined(NO_irqwin_userspace)
	:: window && (!injectable || nested) ->
#elif defined(NO_irqwin_extint_only)
	:: window && ((!injectable && !dm_wants) || nested) ->
#else
	:: window && ((!extint && !dm_wants) || nested) ->
#endif
#ifndef NO_irqwin_count
		/* Only this vCPU's userspace can have asked for more. */
		if
		:: !nested && dm_wants -> FAIL(needless)
		:: else
		fi;
		put_window()
#endif
	:: else
	fi
}

/* svm_cancel_irq_window() */
inline cancel_irq_window()
{
#if !defined(NO_irqwin_withdrawn) && !defined(NO_irqwin_count)
	if
	:: window -> put_window(); event[i] = 1
	:: else
	fi
#else
	skip
#endif
}

/* svm_update_irq_window() */
inline update_irq_window()
{
#if defined(NO_irqwin_withdrawn) || defined(NO_irqwin_count)
	skip
#else
	if
	:: window && !awaited ->
		if
		:: dm_wants -> FAIL(needless)
		:: else
		fi;
		put_window()
#if defined(BREAK_irqwin_current_vmcb)
	:: window && awaited && !intercepted -> cancel_irq_window()
#elif !defined(BREAK_irqwin_kept_without_window)
	:: window && awaited && !vintr -> cancel_irq_window()
#endif
	:: else
	fi
#endif
}

/* svm_set_gif() */
inline set_gif(value)
{
	if
	:: (value -> intercepted : !VGIF) -> clear_vintr()
	:: else
	fi;
	gif = value;
#if defined(NO_irqwin_withdrawn) || defined(BREAK_irqwin_kept_at_stgi)
	event[i] = event[i] || (value && injectable)
#else
	event[i] = event[i] || (value && (window || injectable))
#endif
}

/* nested_svm_vmexit(); it is kvm_set_rflags() that always raises KVM_REQ_EVENT. */
inline nested_vmexit()
{
	d_step {
		nested = 0; virq02 = 0; halted = 0;
		set_gif(0);
		iflag = l1_iflag;
#ifndef BREAK_no_event_at_nested_vmexit
		event[i] = 1;
#endif
		intercepts = 0; masking = 0; traps = 0; l1_iflag = 0
	};
	if
	:: reasons == 0 -> update_apicv()
	:: else
	fi
}

/* kvm_check_and_inject_events() */
inline check_and_inject_events()
{
	/* svm_check_nested_events() */
	if
	:: nested && allowed && interrupt && (injected || vmrun) -> busy = 1
	:: nested && allowed && interrupt && intercepts && !(injected || vmrun) -> busy = 0; nested_vmexit()
	:: else -> busy = 0
	fi;
	fresh = !injected;
	if
	:: injected -> inject_irq()
	:: else
	fi;
	if
	:: busy -> event[i] = 1
	:: !busy && injectable ->
		if
		:: !fresh || (allowed && nested && (intercepts || vmrun)) -> busy = 1; event[i] = 1
		:: else ->
			if
			:: allowed ->
				/* Another vCPU may have been first at the PIC. */
				atomic {
					if
					:: extint -> injected = 1; acknowledge
					:: !extint && irr[i] -> irr[i] = 0; injected = 1
					:: else
					fi
				};
				if
				:: injected -> inject_irq()
				:: else
				fi
			:: else
			fi;
			if
			:: injectable -> enable_irq_window()
			:: else
			fi
		fi
	:: else
	fi
}

proctype vcpu(byte i)
{
	byte clis = CLIS, visits = USER, vectors = USER, vmruns = (i -> 0 : VMRUNS), clgis = (i -> 0 : CLGIS);
	bit window = 0;			/* avic_irq_window */
	bit iflag = (i >= MASKED);	/* RFLAGS.IF */
	bit gif = 1;
	bit vintr = 0;			/* vmcb01's intercept of VINTR */
	bit virq = 0;			/* vmcb01's V_IRQ */
	bit nested = 0;			/* is_guest_mode() */
	bit vmrun = 0;			/* nested_run_pending */
	bit intercepts = 0;		/* L1 intercepts interrupts ... */
	bit traps = 0;			/* ... and VINTR ... */
	bit masking = 0;		/* ... and uses V_INTR_MASKING */
	bit l1_iflag = 0;		/* L1's RFLAGS.IF, while L2 runs */
	bit virq02 = 0;			/* vmcb02's V_IRQ, if it is KVM's */
	bit injected = 0;		/* to be delivered at VM-Enter */
	bit handler = 0;		/* the guest is in an interrupt's handler */
	bit vector = 0;			/* pending_external_vector */
	bit request = 0;		/* request_interrupt_window */
	bit halted = 0;
	bit dead = 0;			/* waits for SIPI */
	byte new;
	bit fast, fresh, wants;
	bit busy;			/* req_immediate_exit */
	bit spins;			/* instead of halting */

	if
	:: HALTS != 0 -> spins = 0
	:: HALTS != 1 -> spins = 1
	fi;

again:
	if
	:: USER && request && !dead && allowed && !extint && !injected -> goto userspace
	:: else
	fi;
	if
	:: halted || dead -> goto block
	:: else
	fi;

	/* vcpu_enter_guest() */
	wants = dm_wants;
	if
	:: update[i] -> update[i] = 0; update_apicv()
	:: else
	fi;
	if
	:: atomic { event[i] || wants || (upcall && i == 0) -> event[i] = 0; nmi[i] = 0 };
		if
		:: init_ipi[i] -> goto reset
		:: else
		fi;
		check_and_inject_events();
#if !defined(NO_irqwin_userspace) && !defined(BREAK_irqwin_request_not_anew)
		wants = dm_wants;
#endif
		if
		:: wants -> enable_irq_window()
#ifdef BREAK_irqwin_given_back_when_busy
		:: !wants -> update_irq_window()
#else
		:: !wants && !busy -> update_irq_window()
#endif
		:: else
		fi
	:: else
	fi;
	/* Who asks for more than this sees IN_GUEST_MODE, and waits for the vCPU to leave. */
	atomic {
		if
		:: update[i] || (event[i] && !busy) -> event[i] = event[i] || injected; goto again
		:: else -> running[i] = 1
		fi;
		if
		:: avic_on[i] != (reasons == 0 && !nested) -> FAIL(stale_entry)
		:: else
		fi;
		/* The guest must not see V_IRQ: its vector is a dummy. */
		if
		:: (nested -> virq02 : virq && !avic_on[i]) && !intercepted -> FAIL(spurious)
		:: else
		fi;
		vmrun = 0;
		if
		:: injected -> injected = 0; iflag = 0; handler = 1
		:: else
		fi
	};

guest:
	if
	:: atomic { update[i] || event[i] -> running[i] = 0; goto again }
	:: atomic { handler -> upcall = (i == 0 -> 0 : upcall); handler = 0; iflag = 1; goto guest }
	:: atomic { !handler && taken && !traps -> running[i] = 0 };
		/* interrupt_window_interception() */
		d_step { event[i] = 1; clear_vintr() };
#ifdef NO_irqwin_count
		set_or_clear(IRQWIN, 0);
#endif
		goto again
	:: atomic { !handler && allowed && avic_on[i] && irr[i] ->
		irr[i] = 0; iflag = 0; handler = 1; goto guest }
	:: atomic { !handler && !iflag -> iflag = 1; goto guest }
	:: atomic { !handler && iflag && !taken && clis -> clis--; iflag = 0; goto guest }
	:: atomic { !spins && !handler && !(allowed && interrupt) -> running[i] = 0; halted = 1; goto again }
	:: atomic { visits -> visits--; running[i] = 0; goto userspace }
	:: atomic { !handler && vmruns && !nested ->
		vmruns--; caused((VGIF -> 0 : 2)); running[i] = 0;
		nested = 1; vmrun = 1; l1_iflag = iflag; update[i] = update[i] || avic_on[i];
		if
		:: intercepts = 1
		:: intercepts = 0
		fi;
		if
		:: traps = 1
		:: traps = 0
		fi;
		if
		:: masking = 1
		:: masking = 0
		fi;
		if
		:: iflag = 1
		:: iflag = 0
		fi };
		d_step { set_gif(1) };
		goto again
	:: atomic { nested && !handler -> running[i] = 0 };
		nested_vmexit();
		goto again
#if VGIF
	:: atomic { !handler && clgis && gif && !nested -> clgis--; gif = 0; goto guest }
	:: atomic { !handler && !gif -> gif = 1; goto guest }
#else
	:: atomic { !handler && clgis && gif && !nested -> clgis--; running[i] = 0 };
		d_step { set_gif(0) };
		goto again
	:: atomic { !handler && !gif -> running[i] = 0 };
		d_step { set_gif(1) };
		goto again
#endif
	:: timeout -> goto quiet
	fi;

block:
	if
	:: runnable
	:: else ->
#ifndef BREAK_irqwin_kept_when_halted
		cancel_irq_window();
#endif
		if
		:: runnable
		:: atomic { visits -> visits--; goto userspace }
		:: timeout -> goto quiet
		fi
	fi;
	if
	:: init_ipi[i] -> goto reset
	:: else
	fi;
	atomic { halted = 0; nmi[i] = 0; goto again }

reset:	/* svm_vcpu_reset(): LVT0 is masked, until SIPI at least */
#if !defined(BREAK_irqwin_kept_at_init) && !defined(NO_irqwin_withdrawn) && !defined(NO_irqwin_count)
	if
	:: window -> put_window()
	:: else
	fi;
#endif
	atomic {
		init_ipi[i] = 0; nmi[i] = 0; irr[i] = 0; event[i] = 1; dead = 1; iflag = 0; gif = 1;
		vintr = 0; virq = 0; injected = 0; halted = 0;
		goto block
	};

userspace:
	atomic {
		if
		:: request = 0
		:: !request -> request = 1; caused(2)
		:: request
		fi;
		if
		:: !vector && vectors -> vectors--; vector = 1; event[i] = 1; caused(2)
		:: true
		fi;
		goto again
	};

quiet:	/* Nothing happens any more. */
	if
	:: running[i] && !nested && avic_on[i] != (reasons == 0) -> FAIL(stale_entry)
	:: allowed && (irr[i] || (extint && !(RAISES && i))) -> FAIL(lost)
	:: else
	fi
}

/* The PIC's output goes up, and pic_unlock() tells the first vCPU that takes it. */
proctype raiser()
{
	byte n = RAISES;

	do
	:: n -> n--; atomic { pic = 1; caused(2 * VCPUS) }; event[0] = 1
	:: else -> break
	od
}

proctype withdrawer()
{
	byte n = WITHDRAWALS;

	do
	:: n -> n--; atomic { pic = 0; upcall = 0 }
	:: n -> n--
	:: else -> break
	od
}

proctype toggler()
{
	byte n = TOGGLES, new;

	do
	:: n -> n--; caused(1); set_or_clear(OTHER, 1); caused(1); set_or_clear(OTHER, 0)
	:: else -> break
	od
}

/* svm_deliver_interrupt() */
proctype sender()
{
	byte n = APIC, to;

	do
	:: n -> n--;
		if
		:: to = 0
		:: to = 1
		fi;
		irr[to] = 1;
		if
		:: avic_on[to]	/* a doorbell, or a wake-up */
		:: else -> event[to] = 1
		fi
	:: else -> break
	od
}

proctype waker()
{
	byte upcalls = UPCALLS, nmis = NMIS, inits = INITS;

	do
	:: upcalls -> upcalls--; atomic { upcall = 1; event[0] = 1 }
	:: nmis -> nmis--; atomic { nmi[0] = 1; event[0] = 1; caused(2) }
	:: inits -> inits--; atomic { init_ipi[VCPUS - 1] = 1; event[VCPUS - 1] = 1 }
	:: !upcalls && !nmis && !inits -> break
	od
}

/* What holds at any time, and when nothing happens any more. */
proctype monitor()
{
	do
#ifndef NO_irqwin_count
	:: checked(uncounted) && !update_lock && !others && (reasons == IRQWIN) != (windows > 0) -> FAIL(uncounted)
#endif
#if !RAISES && !USER && !UPCALLS
	:: checked(counted_for_apic) && windows > 0 -> FAIL(counted_for_apic)
#endif
	:: timeout ->
		d_step {
			if
			:: update_lock -> FAIL(stuck)
			:: else
			fi;
			if
			:: windows || others != XEN_INHIBIT || (reasons & IRQWIN) -> FAIL(leak)
			:: else
			fi
		};
		break
	od
}

#define start(i)	avic_on[i] = (reasons == 0); run vcpu(i)

init {
	atomic {
#if UPCALLS
		reasons = XEN_INHIBIT;
		caused(2);
#endif
		each_vcpu(start);
#if RAISES
		run raiser();
#endif
#if WITHDRAWALS
		run withdrawer();
#endif
#if TOGGLES
		run toggler();
#endif
#if APIC
		run sender();
#endif
#if UPCALLS || NMIS || INITS
		run waker();
#endif
		run monitor()
	}
}
