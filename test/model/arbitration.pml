/* The arbitration as coordinator/arbitration/host-*.ts does it: two hosts, one register, one VM.
 *
 * Asynchronous: every step may wait for ever, every message may be lost, a suspicion may come at any
 * moment; no clock is trusted. A host crashes and comes back empty; a coordinator restarts beside its
 * running guest, which goes on, with the proxy as it was. Incarnations, the note about an unresolved
 * pair, and the proxy (`open`, `lim`) are those of the code. Left out: the moment between a grant and
 * a resumed guest (the same as a slow guest), a third host, and the bytes of a checkpoint.
 *
 * Every change of a host's state is a MOVE(from, event, to), which checks `from`; test/model compares
 * the MOVEs with transitions.ts, which the production code is held to as well.
 *
 * A world outside judges: no epoch leaves twice, none contradicts what was seen, at most one host is
 * free to speak; under policy hold nothing leaves that no registered backup has.
 *
 * -DMAXE epochs, -DMAXG generations, -DCRASHES, -DRESTARTS: bounds. -DHOLD: policy hold on both hosts,
 * -DOPENER: its operator may open. -DRESIGN: the backup may resign. -DCREATE: from an absent register.
 * -DREORDER: an old connection beside the new one. -DMUT=n, -DREACH=n: see check.ts.
 */
#ifndef MAXE
#define MAXE 2
#endif
#ifndef MAXG
#define MAXG 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef MUT
#define MUT 0
#endif
#ifndef REACH
#define REACH 0
#endif
#define MAXI 4 /* lives of one host */

#define DOWN 0  /* dead, nothing is left */
#define PROT 1
#define PRES 2
#define SOLO 3
#define SYNC 4
#define SRES 5
#define BACK 6
#define FROZ 7
#define HALT 8
#define JOIN 9
#define START 10 /* the coordinator is down; guest and proxy go on */

#define ABSENT 0
#define SOLE 1
#define PAIR 2
/* requests */
#define BYP 1 /* solo-by-primary */
#define BYB 2 /* solo-by-backup */
#define TOPAIR 3
/* messages */
#define CKPT 1
#define FULL 2
#define ACK 3
#define RESIGN_ 4
#define RESIGNED 5

#define NOBODY 9
#define LISTENS(x) (st[x]!=DOWN && st[x]!=START) /* has a connection of its own to the witness */

typedef Epochs { byte v[4] };

byte st[2], gen[2], inc[2];
byte cur[2];       /* newest epoch that the guest executed */
byte rel[2];       /* newest epoch that left */
byte lim[2];       /* the proxy lets epochs up to this one leave, */
bool open[2];      /* or all of them */
bool held[2];      /* SOLO, SYNC, SRES under policy hold */
byte ack[2], cm[2], snap[2];
byte pinc[2];      /* the peer's incarnation */
byte jg[2], js[2], ji[2]; /* the note about a pair that was asked for: generation (0: none), snapshot, backup */
Epochs h[2];       /* who executed each epoch */
byte rg[2], rm[2], rpi[2], rph[2]; /* what a starting coordinator has read */
#if MUT==3
byte pend[2];
#endif

/* the register */
byte rgen, rmode, rp, rpinc, rb, rbinc;

/* the world outside */
byte world[4];
bool sent[4];
#ifdef HOLD
byte safe;         /* newest epoch that a registered backup has committed */
byte lb=1, lbi=1, lg=1; /* the backup that was registered last, and when: it may not know yet that it is over */
byte gc[10];       /* newest epoch that each life of each host has committed: [5 * host + inc] */
#endif
byte crashes, restarts;

chan net[2] = [1] of { byte, byte, byte, byte, byte, byte, byte, byte }; /* type gen n v1 v2 v3 from to: TO host */
#ifdef REORDER
chan late[2] = [1] of { byte, byte, byte, byte, byte, byte, byte, byte };
#endif
chan toW[2] = [1] of { byte, byte, byte, byte };       /* expected-generation request backup-inc own-inc */
chan frW[2] = [1] of { byte, byte, byte, byte, byte, byte, byte, byte }; /* register, and (gen, inc) of the BYB that it answers */

byte e, k;

#define FREE(x) (st[x]==SOLO || st[x]==SYNC || (st[x]==PRES && open[x]))
#define RUNS(x) ((st[x]>=PROT && st[x]<=SRES) || (st[x]==START && cur[x]>0))
#define TOK(x) (1 + gen[x]*2 + x)

#define MOVE(from, event, to) assert(st[i]==from); st[i] = to

#if MUT==15
#define ME (kp==i)
#define FROMP 1
#define FROMB (ci==rbinc)
#elif MUT==6
#define ME (kp==i && kpi==inc[i])
#define FROMP (ci==rpinc)
#define FROMB 1
#else
#define ME (kp==i && kpi==inc[i])
#define FROMP (ci==rpinc)
#define FROMB (ci==rbinc)
#endif
#define GRANTED (kg==gen[i]+1 && kk==SOLE && ME)
#if MUT==15 || MUT==16 /* the addresses of messages would cover for these two */
#define UNADDRESSED 1
#else
#define UNADDRESSED 0
#endif
#define MINE (UNADDRESSED || (sn==pinc[i] && ti==inc[i]))
#if MUT==16
#define PEERS 1
#else
#define PEERS (sn==pinc[i])
#endif

inline emit() {
  d_step {
    rel[i]++; e = rel[i];
    assert(!sent[e]);                                          /* I3 no repeat */
    sent[e] = 1;
    for (k : 1 .. e) {
      assert(world[k]==0 || world[k]==h[i].v[k]);              /* I4 one history */
      world[k] = h[i].v[k]
    }
#if defined(HOLD) && !defined(OPENER)
    assert(e <= safe);                                         /* hold: never unprotected */
#endif
    assert(open[i] || e <= lim[i] || MUT==5 || MUT==8);
    e = 0; k = 0
  }
}

inline forget() {
  cur[i]=0; rel[i]=0; lim[i]=0; open[i]=0; held[i]=0; ack[i]=0; cm[i]=0; snap[i]=0; pinc[i]=0;
  jg[i]=0; js[i]=0; ji[i]=0; gen[i]=0;
  h[i].v[1]=0; h[i].v[2]=0; h[i].v[3]=0
#if MUT==3
  ; pend[i]=0
#endif
}
/* epoch n_ is committed at this life of this host */
inline committed(n_) {
  cm[i] = n_;
#ifdef HOLD
  gc[5*i+inc[i]] = n_;
  if :: lb==i && lbi==inc[i] && lg==gen[i] && n_>safe -> safe=n_ :: else fi
#endif
}
inline newlife() { forget(); inc[i]++ }

inline send(t_, g_, n_, to_) {
  if
  :: nfull(net[1-i]) -> net[1-i]!t_,g_,n_,h[i].v[1],h[i].v[2],h[i].v[3],inc[i],to_
#ifdef REORDER
  :: nfull(late[1-i]) -> late[1-i]!t_,g_,n_,h[i].v[1],h[i].v[2],h[i].v[3],inc[i],to_
  :: full(net[1-i]) && full(late[1-i]) -> skip
#else
  :: full(net[1-i]) -> skip
#endif
  fi
}
#ifdef REORDER
#define CANSEND (nfull(net[1-i]) || nfull(late[1-i]))
#else
#define CANSEND nfull(net[1-i])
#endif
inline ask(kind, b_) {
  if
  :: nfull(toW[i]) -> toW[i]!gen[i],kind,b_,inc[i]
  :: full(toW[i]) -> skip
  fi
}
/* the grant to run alone is known: open, or under policy hold keep what is held */
inline alone() {
#ifdef HOLD
  held[i] = 1; open[i] = 0
#else
  open[i] = 1
#endif
}
inline halted() { open[i]=0; lim[i]=0; held[i]=0; snap[i]=0; cur[i]=0 }
inline free() { assert(!(FREE(0) && FREE(1))) }                 /* I1 one free emitter */

proctype Host(byte i) {
  byte t,g,n,a1,a2,a3,sn,ti;
  byte kg,kk,kp,kpi,kb,kbi,ag,ai;
  do
  /* the guest; it may be one epoch ahead of what has left */
  :: atomic { RUNS(i) && cur[i]<MAXE && cur[i]<=rel[i]+1 && !(open[i] && cur[i]>rel[i]) ->
       cur[i]++; h[i].v[cur[i]] = TOK(i) }
  /* the proxy: it does what it was told last, also while its coordinator is down */
  :: atomic { RUNS(i) && rel[i]<cur[i] && (open[i] || rel[i]<lim[i]) -> emit() }
#if MUT==5
  :: atomic { st[i]==PROT && rel[i]<cur[i] -> emit() }          /* release before the ack */
#endif
#if MUT==8
  :: atomic { (st[i]==SYNC || st[i]==SRES) && rel[i]<cur[i] -> emit() } /* emits during re-protection */
#endif
  /* checkpoints; SRES sends those after the copy already */
  :: atomic { st[i]==PROT && ack[i]<cur[i] && CANSEND -> send(CKPT,gen[i],ack[i]+1,pinc[i]) }
  :: atomic { st[i]==SRES && ack[i]<cur[i] && CANSEND -> send(CKPT,gen[i]+1,ack[i]+1,pinc[i]) }

  /* suspicion */
  :: atomic { st[i]==PROT && gen[i]<MAXG ->
#if MUT==2
       st[i]=SOLO; gen[i]++; open[i]=1                          /* solo without a grant */
#else
       MOVE(PROT, suspect-peer, PRES); ask(BYP,0)
#endif
     }
  :: atomic { st[i]==BACK && gen[i]<MAXG ->
#if MUT==1
       st[i]=SOLO; gen[i]++; cur[i]=cm[i]; rel[i]=cm[i]; open[i]=1 /* promote without a grant */
#else
       MOVE(BACK, suspect-peer, FROZ); ask(BYB,0)
#endif
     }
  :: atomic { st[i]==PRES && empty(toW[i]) -> ask(BYP,0) }      /* retry */
  :: atomic { st[i]==FROZ && empty(toW[i]) -> ask(BYB,0) }
  :: atomic { st[i]==SRES && empty(toW[i]) -> ask(TOPAIR,pinc[i]) }
  :: atomic { st[i]==FROZ && inc[i]<MAXI && st[1-i]==SOLO && inc[1-i]==pinc[i] && gen[1-i]+1==gen[i] ->
       MOVE(FROZ, never-paired, JOIN); newlife() }              /* it asks to be admitted: it never sent the pair */
#if MUT==14
  :: atomic { st[i]==PRES -> st[i]=SOLO; gen[i]++; open[i]=1 }  /* both reach the gateway */
  :: atomic { st[i]==FROZ -> st[i]=SOLO; gen[i]++; cur[i]=cm[i]; rel[i]=cm[i]; open[i]=1 }
#endif

  /* protection: hold, copy, pair */
  :: atomic { st[i]==SOLO && gen[i]<MAXG ->
       MOVE(SOLO, protect-requested, SYNC); snap[i]=cur[i]; ack[i]=0;
       if :: open[i] -> lim[i]=cur[i] :: else fi;
       open[i]=0 }
  :: atomic { st[i]==SYNC && CANSEND -> send(FULL,gen[i]+1,snap[i],inc[1-i]) }
  :: atomic { st[i]==SYNC -> MOVE(SYNC, suspect-peer, SOLO); snap[i]=0; open[i]=!held[i] }
  :: atomic { st[i]==SYNC -> MOVE(SYNC, give-up, SOLO); snap[i]=0; open[i]=!held[i] }
#if MUT==12
  :: atomic { st[i]==SRES -> st[i]=SOLO; snap[i]=0; open[i]=1 } /* gives up after the pair was sent */
#endif
#ifdef OPENER
  :: atomic { st[i]==SOLO && held[i] -> held[i]=0; open[i]=1 }  /* the operator's word */
#endif
#if MUT==3
  :: atomic { st[i]==BACK && pend[i]>0 -> cm[i]=pend[i]; pend[i]=0 }
#endif
#ifdef RESIGN
  :: atomic { st[i]==PROT && CANSEND -> send(RESIGN_,gen[i],0,pinc[i]) }
#endif

  /* replication */
#ifdef REORDER
  :: atomic { nempty(late[i]) && empty(net[i]) -> late[i]?t,g,n,a1,a2,a3,sn,ti; net[i]!t,g,n,a1,a2,a3,sn,ti;
       t=0;g=0;n=0;a1=0;a2=0;a3=0;sn=0;ti=0 }
  :: atomic { late[i]?t,g,n,a1,a2,a3,sn,ti -> t=0;g=0;n=0;a1=0;a2=0;a3=0;sn=0;ti=0 }
#endif
  :: atomic { net[i]?t,g,n,a1,a2,a3,sn,ti ->
       if
       :: t==CKPT && (st[i]==BACK || st[i]==FROZ) && g==gen[i] && MINE && n==cm[i]+1 ->
            h[i].v[1]=a1; h[i].v[2]=(n>=2->a2:0); h[i].v[3]=(n>=3->a3:0);
#if MUT==3
            if :: st[i]==BACK && pend[i]==0 -> pend[i]=n; send(ACK,gen[i],n,sn) :: else fi /* ack before commit */
#else
            committed(n);
            if :: st[i]==BACK -> send(ACK,gen[i],n,sn) :: else fi     /* FROZ: committed, never acknowledged */
#endif
       :: t==CKPT && st[i]==BACK && g==gen[i] && MINE && n<=cm[i] -> send(ACK,gen[i],cm[i],sn)
#if MUT==7
       :: t==CKPT && st[i]==JOIN && g==rgen && rmode==PAIR && rb==i -> /* an empty host answers as the backup */
            st[i]=BACK; gen[i]=g; inc[i]=rbinc; pinc[i]=sn; send(ACK,gen[i],n,sn)
#endif
       :: t==FULL && st[i]==JOIN && (UNADDRESSED || ti==inc[i]) ->
            MOVE(JOIN, full-received, BACK); gen[i]=g; committed(n); pinc[i]=sn;
            h[i].v[1]=(n>=1->a1:0); h[i].v[2]=(n>=2->a2:0); h[i].v[3]=(n>=3->a3:0);
            send(ACK,gen[i],n,sn)
       :: t==FULL && st[i]==BACK && g==gen[i] && ti==inc[i] && sn==pinc[i] && n<=cm[i] -> send(ACK,gen[i],n,sn)
       :: t==ACK && (st[i]==PROT || st[i]==PRES) && g==gen[i] && PEERS && n>ack[i] ->
            ack[i]=n; lim[i]=n
       :: t==ACK && st[i]==SRES && g==gen[i]+1 && PEERS && n>ack[i] -> ack[i]=n
       :: t==ACK && st[i]==SYNC && g==gen[i]+1 && n==snap[i] ->
            MOVE(SYNC, full-acked, SRES); pinc[i]=sn; ack[i]=n;
            jg[i]=gen[i]; js[i]=n; ji[i]=sn; ask(TOPAIR,sn)
#ifdef RESIGN
       :: t==RESIGN_ && st[i]==BACK && g==gen[i] && ti==inc[i] && inc[i]<MAXI ->
            send(RESIGNED,g,0,sn);
#if MUT!=17
            st[i]=JOIN; newlife()                                /* else: resign without dropping */
#endif
       :: t==RESIGNED && (st[i]==PROT || st[i]==PRES) && g==gen[i] && sn==pinc[i] && ti==inc[i] ->
            st[i]=PRES; open[i]=1; free()
#endif
       :: else -> skip
       fi;
       t=0;g=0;n=0;a1=0;a2=0;a3=0;sn=0;ti=0 }
  :: atomic { net[i]?t,g,n,a1,a2,a3,sn,ti -> t=0;g=0;n=0;a1=0;a2=0;a3=0;sn=0;ti=0 } /* loss */

  /* what the register says */
  :: atomic { frW[i]?kg,kk,kp,kpi,kb,kbi,ag,ai ->
       if
       :: kk==ABSENT -> skip
       :: st[i]==PRES && GRANTED ->
            MOVE(PRES, register, SOLO); gen[i]=kg; ack[i]=0; pinc[i]=0;
#ifdef HOLD
            if :: open[i] -> skip :: else -> alone() fi
#else
            alone()
#endif
       :: st[i]==PROT && kg>gen[i] -> MOVE(PROT, register, HALT); halted()
       :: st[i]==PRES && kg>gen[i] && !GRANTED -> MOVE(PRES, register, HALT); halted()
       :: st[i]==SOLO && kg>gen[i] -> MOVE(SOLO, register, HALT); halted()
       :: st[i]==SYNC && kg>gen[i] -> MOVE(SYNC, register, HALT); halted()
       :: st[i]==SRES && kg==gen[i]+1 && kk==PAIR && ME && kb==1-i && kbi==pinc[i] ->
            jg[i]=0; js[i]=0; ji[i]=0; gen[i]=kg; snap[i]=0; held[i]=0; lim[i]=ack[i];
            if
            :: MOVE(SRES, register, PROT)
            :: kg<MAXG -> MOVE(SRES, register, PRES); ask(BYP,0) /* it was suspected meanwhile */
            fi
       :: st[i]==SRES && kg>gen[i] && !(kg==gen[i]+1 && kk==PAIR && ME && kb==1-i && kbi==pinc[i]) ->
            MOVE(SRES, register, HALT); halted()
       :: st[i]==FROZ && GRANTED ->
            MOVE(FROZ, register, SOLO); gen[i]=kg; cur[i]=cm[i]; ack[i]=0; pinc[i]=0; lim[i]=cm[i]; alone();
#if MUT==13
            rel[i]=(cm[i]>0->cm[i]-1:0)                         /* re-emits the last committed epoch */
#else
            rel[i]=cm[i]
#endif
       :: st[i]==FROZ && !GRANTED && inc[i]<MAXI && (kg>gen[i] || (kg==gen[i] && !(kb==i && kbi==inc[i]))
            || (ag==gen[i] && ai==inc[i] && kg+1==gen[i])) ->   /* the last: its pair never was */
            MOVE(FROZ, register, JOIN); newlife()
       :: st[i]==BACK && inc[i]<MAXI && (kg>gen[i] || (kg==gen[i] && !(kb==i && kbi==inc[i]))) ->
            MOVE(BACK, register, JOIN); newlife()
       :: else -> skip
       fi;
       kg=0;kk=0;kp=0;kpi=0;kb=0;kbi=0;ag=0;ai=0;
       free();
#if REACH==1
       assert(!(st[1]==SOLO && cm[1]>=1));                      /* B promoted from a checkpoint */
#elif REACH==2
       assert(!(st[0]==SOLO && gen[0]==2));                     /* P alone */
#elif REACH==3
       assert(!(st[1]==PROT && gen[1]==3));                     /* the swapped pair */
#elif REACH==4
       assert(!(st[0]==SOLO && gen[0]==4 && cm[0]>=2));         /* P to B to P */
#elif REACH==5
       assert(!(st[i]==PROT && gen[i]==3 && rel[i]<ack[i] && lim[i]>rel[i])); /* what was held may leave */
#elif REACH==7
       assert(!(st[i]==PROT && restarts>0));                    /* a pair outlives a restart in SRES */
#elif REACH==8
       assert(!(ag>0 && st[i]==JOIN))
#endif
     }
#if REACH==6
  :: atomic { st[i]==PRES && open[i] && rel[i]>ack[i] -> assert(false) } /* simplex: speaks without witness and backup */
#endif

  /* faults */
  :: atomic { crashes<CRASHES && (st[i]==PROT || st[i]==PRES || st[i]==SOLO || st[i]==SYNC || st[i]==SRES) ->
       crashes++;                                               /* its guest dies alone */
       if
       :: st[i]==PROT -> MOVE(PROT, guest-lost, HALT)
       :: st[i]==PRES -> MOVE(PRES, guest-lost, HALT)
       :: st[i]==SOLO -> MOVE(SOLO, guest-lost, HALT)
       :: st[i]==SYNC -> MOVE(SYNC, guest-lost, HALT)
       :: st[i]==SRES -> MOVE(SRES, guest-lost, HALT)
       fi;
       halted() }
  :: atomic { st[i]==HALT && inc[i]<MAXI -> MOVE(HALT, guest-stopped, JOIN); newlife() }
  :: atomic { crashes<CRASHES && st[i]!=DOWN -> crashes++; st[i]=DOWN; forget();
       do :: frW[i]?kg,kk,kp,kpi,kb,kbi,ag,ai :: empty(frW[i]) -> break od;
       kg=0;kk=0;kp=0;kpi=0;kb=0;kbi=0;ag=0;ai=0 }
  :: atomic { st[i]==DOWN && inc[i]<MAXI -> st[i]=JOIN; newlife() }
  /* The coordinator restarts: a backup begins empty; a primary's guest and proxy go on. */
  :: atomic { restarts<RESTARTS && st[i]>=PROT && st[i]<=SRES -> restarts++; st[i]=START; rm[i]=NOBODY;
       do :: frW[i]?kg,kk,kp,kpi,kb,kbi,ag,ai :: empty(frW[i]) -> break od;
       kg=0;kk=0;kp=0;kpi=0;kb=0;kbi=0;ag=0;ai=0 }
  :: atomic { st[i]==START && rm[i]==NOBODY -> /* it reads the register, */
#ifdef CREATE
       if :: rmode==ABSENT && i==0 -> rgen=1; rmode=SOLE; rp=0; rpinc=inc[0]; rb=NOBODY :: else fi;
#endif
       rg[i]=rgen; rm[i]=rmode; rph[i]=rp; rpi[i]=rpinc;
       if :: rmode==PAIR && rp==i -> pinc[i]=rbinc :: else fi }
  :: atomic { st[i]==START && rm[i]!=NOBODY -> /* and later takes its place, as host-start.ts says */
       if
       :: rph[i]==i && rpi[i]==inc[i] && rm[i]==PAIR && rg[i]<MAXG ->
            MOVE(START, start, PRES); gen[i]=rg[i]; ack[i]=0; snap[i]=0; held[i]=0; ask(BYP,0)
#if MUT==18
       :: rph[i]==i && rpi[i]==inc[i] && rm[i]==SOLE -> /* forgets the pair in a restart */
#else
       :: rph[i]==i && rpi[i]==inc[i] && rm[i]==SOLE && jg[i]==rg[i] && jg[i]>0 ->
            MOVE(START, start, SRES); gen[i]=rg[i]; snap[i]=js[i]; ack[i]=js[i]; pinc[i]=ji[i];
            if
            :: lim[i]<snap[i] && open[i]==0 ->
#ifdef HOLD
                 held[i]=1
#else
                 lim[i]=snap[i]
#endif
            :: else
            fi;
            ask(TOPAIR,ji[i])
       :: rph[i]==i && rpi[i]==inc[i] && rm[i]==SOLE && !(jg[i]==rg[i] && jg[i]>0) ->
#endif
            MOVE(START, start, SOLO); gen[i]=rg[i]; ack[i]=0; snap[i]=0; pinc[i]=0;
#ifdef HOLD
            if :: open[i] -> lim[i]=rel[i] :: else fi;
#endif
            alone(); free()
       :: !(rph[i]==i && rpi[i]==inc[i]) -> MOVE(START, start, HALT); gen[i]=rg[i]; halted()
       fi;
       rg[i]=0; rm[i]=0; rph[i]=0; rpi[i]=0 }
  od
}

active [2] proctype Witness() { /* one loop per host, one register */
  byte eg,kd,bi,ci;
  byte j = _pid;
  do
  :: atomic { toW[j]?eg,kd,bi,ci ->
       if
       :: eg==rgen && kd==BYP && rmode==PAIR && j==rp && FROMP -> rgen++; rmode=SOLE; rb=NOBODY; rbinc=0; rpinc=ci
       :: eg==rgen && kd==BYB && rmode==PAIR && j==rb && FROMB -> rgen++; rmode=SOLE; rp=j; rpinc=ci; rb=NOBODY; rbinc=0
       :: eg==rgen && kd==TOPAIR && rmode==SOLE && j==rp && FROMP ->
            rgen++; rmode=PAIR; rb=1-j; rbinc=bi
#ifdef HOLD
            ; lb=rb; lbi=bi; lg=rgen;
            if :: gc[5*(1-j)+bi]>safe -> safe=gc[5*(1-j)+bi] :: else fi
#endif
       :: else -> skip
       fi;
       if                                                       /* the answer, or it is lost */
       :: empty(frW[j]) && LISTENS(j) && kd==BYB -> frW[j]!rgen,rmode,rp,rpinc,rb,rbinc,eg,ci
       :: skip
       fi;
       eg=0;kd=0;bi=0;ci=0 }
  :: atomic { toW[j]?eg,kd,bi,ci -> eg=0;kd=0;bi=0;ci=0 }       /* the request is lost */
  :: atomic { empty(frW[j]) && LISTENS(j) -> frW[j]!rgen,rmode,rp,rpinc,rb,rbinc,0,0 } /* an answer, perhaps late */
#if MUT==9
  :: atomic { rgen>1 -> rgen=1; rmode=PAIR; rp=0; rpinc=1; rb=1; rbinc=1 } /* the witness loses its store */
#endif
  od
}

init {
  atomic {
    inc[0]=1; inc[1]=1;
#ifdef CREATE
    st[0]=START; rm[0]=NOBODY; cur[0]=1; h[0].v[1]=1; st[1]=JOIN;
    rmode=ABSENT; rp=NOBODY; rb=NOBODY;
#else
    st[0]=PROT; gen[0]=1; pinc[0]=1; st[1]=BACK; gen[1]=1; pinc[1]=1;
    rgen=1; rmode=PAIR; rp=0; rpinc=1; rb=1; rbinc=1;
#endif
    run Host(0); run Host(1)
  }
}
