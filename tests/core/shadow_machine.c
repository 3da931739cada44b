// SPDX-License-Identifier: GPL-2.0-only
/* See shadow_machine.h. */
#include "tests/core/shadow_audit.h"
#include "tests/core/shadow_oracle.h"

static const u32 index_of[INDEXES] = { 0, 1, 2, 511 };

static u64 below(struct machine *m, u64 limit)
{
	return m->draw(m->source) % limit;
}

static bool percent(struct machine *m, u32 chance)
{
	return below(m, 100) < chance;
}

static void complain(const struct machine *m, u32 nr, u64 gva, u32 access,
		     const struct guest_outcome *want, const struct guest_outcome *have)
{
	const struct shadow_vcpu *vcpu = &m->guest->vcpu[nr];

	fprintf(stderr,
		"vcpu %u, gva %llx, access %x; cr0 %llx, cr4 %llx, efer %llx, cr3 %llx\n",
		nr, (unsigned long long)gva, access, (unsigned long long)vcpu->cr0,
		(unsigned long long)vcpu->cr4, (unsigned long long)vcpu->efer,
		(unsigned long long)vcpu->cr3);
	fprintf(stderr, "have: result %d, code %x, gpa %llx, %u flags set\n", have->result,
		have->error_code, (unsigned long long)have->gpa, m->guest->logged);
	fprintf(stderr, "want: result %d, code %x, gpa %llx, %u flags set%s\n", want->result,
		want->error_code, (unsigned long long)want->gpa, m->logged,
		m->pending ? ", or what old entries allow" : "");
	for (u32 level = m->levels, table = vcpu->cr3 >> 12; level && table < GUEST_PAGES; level--) {
		u64 gpa = table * CORE_PAGE_4K + (gva >> (12 + 9 * (level - 1)) & 511) * 8;
		u64 entry = *guest_at(m->guest, gpa);

		fprintf(stderr, "\tlevel %u: entry at %llx is %llx\n", level,
			(unsigned long long)gpa, (unsigned long long)entry);
		table = (entry & 0xffffffffff000ull) >> 12;
	}
	abort();
}

static void forget_all(struct machine *m)
{
	shadow_invalidate(m->guest->table);
	m->nr_records = 0;
}

static void remember(struct machine *m, u64 gpa, u64 old)
{
	u32 same = 0;

	if (!m->is_table[gpa / CORE_PAGE_4K])
		return;
	m->counts.edits++;
	for (u32 i = 0; i < m->nr_records; i++)
		same += m->record[i].gpa == gpa;
	if (m->nr_records == RECORDS || same == RECORDS_OF_ENTRY)
		forget_all(m);
	m->record[m->nr_records].gpa = gpa;
	m->record[m->nr_records].old = old;
	m->record[m->nr_records++].time = ++m->now;
}

/* Linear address of guest page 0 through a window. */
static u64 window(const struct machine *m, u32 index)
{
	u64 gva = (u64)index << (3 + 9 * m->levels);

	return gva | ~0ull << (12 + 9 * m->levels);
}

/* One access, checked; a write that goes through stores @value. */
static void access_gva(struct machine *m, u32 nr, u64 gva, u32 access, u64 value)
{
	struct guest *guest = m->guest;
	struct guest_outcome want = oracle_now(m, &guest->vcpu[nr], gva, access), have;
	bool pending = m->pending, same;
	u64 old, *at;

	have = guest_access(guest, nr, gva, access);
	m->counts.accesses++;
	same = have.result == want.result && have.error_code == want.error_code &&
	       have.gpa == want.gpa;
	if (same && guest->logged == m->logged) {
		if (memcmp(guest->log, m->log, m->logged * sizeof(m->log[0])))
			complain(m, nr, gva, access, &want, &have);
	} else if (guest->logged || have.result != MMU_RETRY ||
		   !((same && pending) || oracle_explains(m, nr, gva, access, have.gpa))) {
		complain(m, nr, gva, access, &want, &have);
	} else {
		m->counts.stale++;
	}
	if (have.result != MMU_RETRY)
		return;
	m->counts.reached++;
	if (gva < window(m, WINDOW_SMALL) || gva >= window(m, WINDOW_LARGE + 1))
		m->hot[m->counts.reached % HOT] = gva;
	if (!(access & WALK_WRITE))
		return;
	at = guest_at(guest, have.gpa);
	old = *at;
	*at = value;
	if (have.emulate)
		shadow_guest_wrote(guest->table, hypr_gpa(have.gpa), 8);
	remember(m, have.gpa, old);
}

static u64 draw_gva(struct machine *m)
{
	u64 bits = m->draw(m->source), gva = (bits & 511) * 8;

	bits >>= 9;
	if (bits % 8 < 5)
		return (m->hot[bits / 8 % HOT] & ~0xfffull) + gva;
	bits >>= 6;
	for (u32 level = 1; level <= m->levels; level++, bits >>= 2)
		gva |= (u64)index_of[bits & 3] << (12 + 9 * (level - 1));
	/* Canonical. */
	if (gva >> (11 + 9 * m->levels) & 1)
		gva |= ~0ull << (12 + 9 * m->levels);
	return gva;
}

/* A page that an entry of @table points to: mostly a table of the next level. */
static u64 draw_gfn(const struct machine *m, u32 table, u64 bits)
{
	const u32 rest = TABLES - ROOTS, per_level = rest / (m->levels - 1);
	u32 depth = table < ROOTS ? 0 : 1 + (table - ROOTS) / per_level;

	if (bits % 16 == 15)
		return GUEST_PAGES + 1;
	if (bits % 16 >= 13)
		return bits / 16 % TABLES;
	if (depth + 1 < m->levels)
		return ROOTS + depth * per_level + bits / 16 % per_level;
	return 512 + bits / 16 % 1024;
}

static u64 draw_entry(struct machine *m, u32 table, u64 old)
{
	static const u64 flags[] = { G_P, G_W, G_U, G_A, G_D, G_G, G_NX, G_LARGE };
	u64 bits = m->draw(m->source), entry, gfn;

	if (bits % 8 < 3)
		return old ^ flags[bits / 8 % 8];
	if (bits % 8 == 3 && bits / 8 % 4 == 0)
		return 0;
	bits >>= 5;
	gfn = draw_gfn(m, table, bits);
	bits >>= 16;
	entry = G_P | (bits & (G_A | G_D)) | (bits % 4 ? G_W : 0) | (bits / 4 % 4 ? G_U : 0);
	entry |= (bits >> 8) % 8 ? 0 : G_NX;
	entry |= (bits >> 11) % 4 ? 0 : G_G;
	entry |= (bits >> 13) % 32 ? 0 : 1ull << 45;
	if ((bits >> 18) % 8 == 0) {
		entry |= G_LARGE;
		if ((bits >> 20) % 8)
			gfn = (bits >> 23) % 4 * 512;
	}
	return entry | gfn * CORE_PAGE_4K;
}

/* An entry that changes: mostly one on the path of a hot GVA. */
static u64 draw_entry_gpa(struct machine *m, u32 nr)
{
	struct walk walk = oracle_walk(m, &m->guest->vcpu[nr]);
	struct walk_result result;
	u64 bits = m->draw(m->source);

	walk.memory = &m->guest->memory;
	if (bits % 4 && !walk_peek(&walk, m->hot[bits / 4 % HOT], 0, &result)) {
		u32 level = result.level + (bits / 64 % 4 ? 0 : bits / 256 % result.top);

		if (level <= result.top &&
		    result.step[level - 1].address / CORE_PAGE_4K < TABLES)
			return result.step[level - 1].address;
	}
	return (bits >> 16) % TABLES * CORE_PAGE_4K + index_of[(bits >> 32) % INDEXES] * 8;
}

static void edit(struct machine *m, u32 nr)
{
	u64 gpa = draw_entry_gpa(m, nr);
	u64 old = *guest_at(m->guest, gpa);
	u64 value = draw_entry(m, gpa / CORE_PAGE_4K, old);

	if (percent(m, 10)) {
		/* A device. */
		*guest_at(m->guest, gpa) = value;
		shadow_guest_wrote(m->guest->table, hypr_gpa(gpa), 8);
		remember(m, gpa, old);
		return;
	}
	access_gva(m, nr, window(m, percent(m, 50) ? WINDOW_SMALL : WINDOW_LARGE) + gpa,
		   WALK_WRITE, value);
}

static void access_as(struct machine *m, u32 nr, u64 gva)
{
	static const u32 kinds[] = {
		0, WALK_WRITE, WALK_FETCH, WALK_IMPLICIT, WALK_IMPLICIT | WALK_WRITE,
		WALK_USER, WALK_USER | WALK_WRITE, WALK_USER | WALK_FETCH,
	};
	u64 bits = m->draw(m->source);

	m->guest->rflags = bits & 8 ? RFLAGS_AC : 0;
	access_gva(m, nr, gva, kinds[bits % 8], draw_entry(m, below(m, TABLES), 0));
}

static void random_access(struct machine *m, u32 nr)
{
	access_as(m, nr, draw_gva(m));
}

static void load_cr3(struct machine *m, u32 nr)
{
	struct times *times = &m->times[nr];
	u64 root = below(m, ROOTS) * CORE_PAGE_4K, pcid = 0, keep = 0;

	if (m->guest->vcpu[nr].cr4 & CR4_PCIDE) {
		pcid = below(m, PCIDS);
		keep = percent(m, 60) ? CR3_KEEP : 0;
	}
	guest_check(!shadow_load_cr3(&m->guest->vcpu[nr], root | pcid | keep));
	if (!keep || times->root[pcid] != root)
		times->context[pcid] = ++m->now;
	times->root[pcid] = root;
}

static void set_mode(struct machine *m, u32 nr)
{
	struct shadow_vcpu *vcpu = &m->guest->vcpu[nr];
	u64 bits = m->draw(m->source);
	u64 old_cr0 = vcpu->cr0, old_cr4 = vcpu->cr4, old_efer = vcpu->efer;
	u64 cr0 = old_cr0, cr4 = old_cr4, efer = old_efer;

	switch (bits % 8) {
	case 0: case 1: cr0 ^= CR0_WP; break;
	case 2: cr4 ^= CR4_SMEP; break;
	case 3: cr4 ^= CR4_SMAP; break;
	case 4: cr4 ^= CR4_PGE; break;
	case 5: efer ^= EFER_NXE; break;
	default:
		/* The processor sets CR4.PCIDE with PCID 0 only. */
		if (!(vcpu->cr3 & 0xfff))
			cr4 ^= CR4_PCIDE;
	}
	guest_check(!shadow_set_registers(vcpu, cr0, cr4, efer));
	if (cr0 != old_cr0 || cr4 != old_cr4 || efer != old_efer) {
		m->times[nr].all = ++m->now;
		memset(m->times[nr].root, 0xff, sizeof(m->times[nr].root));
	}
}

static void host_event(struct machine *m)
{
	u64 bits = m->draw(m->source);
	u32 gfn = bits % 8 ? 512 + (bits >> 8) % 1024 : (bits >> 8) % TABLES;

	if (bits >> 3 & 1) {
		guest_move(m->guest, gfn);
		return;
	}
	m->guest->host[gfn] = bits >> 5 & 7;
	shadow_host_changed(m->guest->table, hypr_gpa(gfn * CORE_PAGE_4K), CORE_PAGE_4K);
}

static void invlpg(struct machine *m, u32 nr, u64 gva)
{
	const struct shadow_vcpu *vcpu = &m->guest->vcpu[nr];

	shadow_invlpg(&m->guest->vcpu[nr], hypr_gva(gva));
	m->times[nr].page[shadow_pcid(vcpu)][oracle_page_number(m, gva)] = ++m->now;
}

/* What an operating system does: edit an entry, mostly invalidate, use it. */
static void edit_and_use(struct machine *m, u32 nr)
{
	u64 bits = m->draw(m->source), gva = m->hot[bits % HOT];

	edit(m, nr);
	if (bits / HOT % 4)
		invlpg(m, nr, gva);
	for (u32 i = 0; i < 1 + bits / 16 % 4; i++)
		access_as(m, nr, gva);
}

/* Everything of 2 MiB as it was at the start. */
static void host_restore(struct machine *m)
{
	u32 gfn = below(m, 3) * 512;

	for (u32 i = 0; i < 512; i++)
		if (m->guest->frame[gfn + i] != gfn + i)
			guest_move(m->guest, gfn + i);
	memset(&m->guest->host[gfn], 0, 512);
	shadow_host_changed(m->guest->table, hypr_gpa(gfn * CORE_PAGE_4K), CORE_PAGE_2M);
}

void machine_step(struct machine *m)
{
	struct shadow_stats before, *after = &m->counts.shadow;
	u32 nr = below(m, GUEST_VCPUS), kind = below(m, 100);

	shadow_stats(m->guest->table, &before);
	if (kind < 40)
		random_access(m, nr);
	else if (kind < 55)
		edit(m, nr);
	else if (kind < 77)
		edit_and_use(m, nr);
	else if (kind < 85)
		invlpg(m, nr, draw_gva(m));
	else if (kind < 93)
		load_cr3(m, nr);
	else if (kind < 96)
		set_mode(m, nr);
	else if (kind < 97)
		host_event(m);
	else if (kind < 98)
		host_restore(m);
	else if (kind < 99)
		forget_all(m);
	else if (percent(m, 10))
		shadow_forget(m->guest->table);
	shadow_stats(m->guest->table, after);
	if (after->work - before.work > m->counts.most_work)
		m->counts.most_work = after->work - before.work;
	guest_check(after->work - before.work <= WORK_MAX);
	if (++m->counts.steps % AUDIT == 0)
		shadow_audit(m->guest);
}

static void make_windows(struct machine *m)
{
	struct guest *guest = m->guest;
	u64 scratch;

	guest->next_free = WINDOW_TABLES;
	scratch = guest_table(guest);
	for (u64 gpa = 0; gpa < CORE_PAGE_2M; gpa += CORE_PAGE_4K)
		guest_map(guest, scratch, m->levels, 1, window(m, WINDOW_SMALL) + gpa, gpa,
			  G_P | G_W);
	guest_map(guest, scratch, m->levels, 2, window(m, WINDOW_LARGE), 0, G_P | G_W);
	for (u32 root = 0; root < ROOTS; root++)
		for (u32 index = WINDOW_SMALL; index <= WINDOW_LARGE; index++)
			*guest_at(guest, root * CORE_PAGE_4K + index * 8) =
				*guest_at(guest, scratch + index * 8);
}

struct machine *machine_create(u32 max_pages, u32 levels, u64 (*draw)(void *source),
			       void *source)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	guest_check(m);
	m->guest = guest_create(max_pages, &err);
	guest_check(m->guest);
	m->draw = draw;
	m->source = source;
	m->levels = levels;
	m->memory.read = oracle_read;
	m->memory.exchange = oracle_exchange;
	m->memory.data = m;
	make_windows(m);
	for (u32 table = 0; table < TABLES; table++)
		for (u32 i = 0; i < INDEXES; i++)
			*guest_at(m->guest, table * CORE_PAGE_4K + index_of[i] * 8) =
				draw_entry(m, table, 0);
	for (u32 i = 0; i < GUEST_VCPUS; i++) {
		struct shadow_vcpu *vcpu = &m->guest->vcpu[i];

		memset(m->times[i].root, 0xff, sizeof(m->times[i].root));
		guest_check(!shadow_set_registers(vcpu, CR0_ON | CR0_WP,
						  CR4_ON | (levels == 5 ? CR4_LA57 : 0),
						  EFER_ON | EFER_NXE));
		load_cr3(m, i);
	}
	return m;
}

void machine_destroy(struct machine *m)
{
	guest_destroy(m->guest);
	free(m);
}

void machine_counts(const struct machine *m, struct machine_counts *counts)
{
	*counts = m->counts;
}
