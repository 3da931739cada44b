// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VMO as an ELF core file.  Memory stands in it as it is, at one offset from
 * its addresses, with holes for zero pages: sparse, and plain for every reader.
 * Addresses are guest physical ones.
 */
#include <elf.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "vmo/vmo.h"

#define PIECE_PAGES	256
#define LOADS_MAX	65534	/* and the note: ELF's own limit without an extension */

struct note {
	Elf64_Nhdr head;
	char name[8];			/* "CORE", padded */
	struct elf_prstatus status;
} __attribute__((packed));

/**
 * struct core - the file that comes to be
 * @load: program headers of memory
 * @memory: file offset of GPA 0
 */
struct core {
	struct hypr_vmo_temp temp;
	Elf64_Phdr *load;
	uint32_t nr_loads, max_loads;
	struct note *note;
	uint32_t nr_notes;
	uint64_t memory;
};

/* ---- registers ------------------------------------------------------------- */

static void fill_registers(struct user_regs_struct *to, const struct kvm_regs *regs,
			   const struct kvm_sregs *sregs)
{
	*to = (struct user_regs_struct){
		.r15 = regs->r15, .r14 = regs->r14, .r13 = regs->r13, .r12 = regs->r12,
		.r11 = regs->r11, .r10 = regs->r10, .r9 = regs->r9, .r8 = regs->r8,
		.rax = regs->rax, .rbx = regs->rbx, .rcx = regs->rcx, .rdx = regs->rdx,
		.rsi = regs->rsi, .rdi = regs->rdi, .rbp = regs->rbp, .rsp = regs->rsp,
		.orig_rax = UINT64_MAX, .rip = regs->rip, .eflags = regs->rflags,
		.cs = sregs->cs.selector, .ss = sregs->ss.selector,
		.ds = sregs->ds.selector, .es = sregs->es.selector,
		.fs = sregs->fs.selector, .gs = sregs->gs.selector,
		.fs_base = sregs->fs.base, .gs_base = sregs->gs.base,
	};
}

static void fill_note(struct note *note, uint32_t vcpu, const struct kvm_regs *regs,
		      const struct kvm_sregs *sregs)
{
	struct user_regs_struct registers;

	fill_registers(&registers, regs, sregs);
	memset(note, 0, sizeof(*note));
	note->head.n_namesz = sizeof("CORE");
	note->head.n_descsz = sizeof(note->status);
	note->head.n_type = NT_PRSTATUS;
	memcpy(note->name, "CORE", sizeof("CORE"));
	note->status.pr_pid = (int)vcpu + 1;	/* a thread of number 0 is none */
	memcpy(&note->status.pr_reg, &registers, sizeof(note->status.pr_reg));
}

static int add_notes(struct core *core, struct hypr_vmo *vmo)
{
	struct { struct kvm_regs regs; struct kvm_sregs sregs; } state;
	const struct hypr_vmo_section *section;
	void *content;
	uint32_t i;
	int ret;

	core->note = calloc(vmo->header.nr_vcpus + 1, sizeof(*core->note));
	if (!core->note)
		return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
	for (i = 0; i < vmo->header.nr_vcpus; i++) {
		section = hypr_vmo_find(vmo, HYPR_VMO_VCPU, i);
		if (!section || section->bytes < sizeof(state))
			continue;
		ret = hypr_vmo_content(vmo, section, &content);
		if (ret)
			return ret;
		memcpy(&state, content, sizeof(state));
		fill_note(&core->note[core->nr_notes++], i, &state.regs, &state.sregs);
	}
	return 0;
}

/* ---- memory ---------------------------------------------------------------- */

static uint32_t elf_flags(uint32_t flags)
{
	return (flags & HYPR_VMO_RUN_R ? PF_R : 0) | (flags & HYPR_VMO_RUN_W ? PF_W : 0) |
	       (flags & HYPR_VMO_RUN_X ? PF_X : 0);
}

static int add_load(struct core *core, const struct hypr_vmo *vmo,
		    const struct hypr_vmo_segment *segment)
{
	uint64_t bytes = segment->pages * HYPR_VMO_PAGE_BYTES;
	uint32_t flags = elf_flags(segment->flags);
	Elf64_Phdr *last = core->nr_loads ? &core->load[core->nr_loads - 1] : NULL, *grown;

	if (last && last->p_flags == flags) {
		last->p_filesz += bytes;
		last->p_memsz += bytes;
		return 0;
	}
	if (core->nr_loads == LOADS_MAX)
		return hypr_fail(-E2BIG, "%s: memory is in more than %d pieces of unlike permissions",
				 vmo->file.name, LOADS_MAX);
	if (core->nr_loads == core->max_loads) {
		core->max_loads = core->max_loads ? 2 * core->max_loads : 64;
		grown = reallocarray(core->load, core->max_loads, sizeof(*grown));
		if (!grown)
			return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
		core->load = grown;
	}
	core->load[core->nr_loads++] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = flags,
		.p_offset = segment->gpa,	/* from the start of memory, as yet */
		.p_vaddr = segment->gpa,
		.p_paddr = segment->gpa,
		.p_filesz = bytes,
		.p_memsz = bytes,
		.p_align = HYPR_VMO_PAGE_BYTES,
	};
	return 0;
}

static int add_loads(struct core *core, const struct hypr_vmo *vmo)
{
	struct hypr_vmo_segment segment;
	uint64_t gpa;
	int ret;

	for (gpa = 0; gpa < vmo->header.mem_bytes; gpa += segment.pages * HYPR_VMO_PAGE_BYTES) {
		ret = hypr_vmo_segment(vmo, gpa, &segment);
		if (!ret)
			ret = add_load(core, vmo, &segment);
		if (ret)
			return ret;
	}
	return 0;
}

static int write_segment(struct core *core, struct hypr_vmo *vmo,
			 const struct hypr_vmo_segment *segment, uint8_t *piece)
{
	uint64_t page, part, gpa;
	int ret;

	for (page = 0; page < segment->pages; page += part) {
		part = segment->pages - page < PIECE_PAGES ? segment->pages - page : PIECE_PAGES;
		gpa = segment->gpa + page * HYPR_VMO_PAGE_BYTES;
		ret = hypr_progress(gpa, vmo->header.mem_bytes);
		if (!ret)
			ret = hypr_vmo_read(vmo, gpa, piece, part * HYPR_VMO_PAGE_BYTES);
		if (ret)
			return ret;
		ret = hypr_vmo_write(core->temp.fd, core->memory + gpa, piece,
				     part * HYPR_VMO_PAGE_BYTES);
		if (ret)
			return hypr_fail_sys(ret, "%s: writing", core->temp.base);
	}
	return 0;
}

static int write_memory(struct core *core, struct hypr_vmo *vmo)
{
	uint8_t *piece = malloc(PIECE_PAGES * HYPR_VMO_PAGE_BYTES);
	struct hypr_vmo_segment segment;
	uint64_t gpa;
	int ret = 0;

	if (!piece)
		return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
	if (ftruncate(core->temp.fd, (off_t)(core->memory + vmo->header.mem_bytes)) < 0)
		ret = hypr_fail_sys(-errno, "%s: its length", core->temp.base);
	for (gpa = 0; !ret && gpa < vmo->header.mem_bytes;
	     gpa += segment.pages * HYPR_VMO_PAGE_BYTES) {
		ret = hypr_vmo_segment(vmo, gpa, &segment);
		if (!ret && !(segment.flags & HYPR_VMO_RUN_ZERO))
			ret = write_segment(core, vmo, &segment, piece);
	}
	free(piece);
	return ret;
}

/* ---- the file -------------------------------------------------------------- */

static int write_head(struct core *core)
{
	uint64_t notes_bytes = core->nr_notes * sizeof(*core->note);
	uint64_t loads_bytes = core->nr_loads * sizeof(*core->load);
	Elf64_Ehdr head = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(head),
		.e_ehsize = sizeof(head),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)(core->nr_loads + 1),
	};
	Elf64_Phdr note = {
		.p_type = PT_NOTE,
		.p_offset = sizeof(head) + sizeof(note) + loads_bytes,
		.p_filesz = notes_bytes,
		.p_align = 4,
	};
	uint32_t i;
	int ret;

	core->memory = (note.p_offset + notes_bytes + HYPR_VMO_PAGE_BYTES - 1) &
		       ~(uint64_t)(HYPR_VMO_PAGE_BYTES - 1);
	for (i = 0; i < core->nr_loads; i++)
		core->load[i].p_offset += core->memory;
	ret = hypr_vmo_write(core->temp.fd, 0, &head, sizeof(head));
	if (!ret)
		ret = hypr_vmo_write(core->temp.fd, sizeof(head), &note, sizeof(note));
	if (!ret)
		ret = hypr_vmo_write(core->temp.fd, sizeof(head) + sizeof(note), core->load,
				     loads_bytes);
	if (!ret)
		ret = hypr_vmo_write(core->temp.fd, note.p_offset, core->note, notes_bytes);
	return ret ? hypr_fail_sys(ret, "%s: writing", core->temp.base) : 0;
}

int hypr_vmo_export(struct hypr_vmo *vmo, const char *path, unsigned int flags,
		    unsigned int *vcpus)
{
	const struct hypr_vmo_need need = { .layers = vmo };
	struct core core = { 0 };
	int ret;

	ret = hypr_vmo_temp_create(&core.temp, path, flags, &need);
	if (ret)
		return ret;
	ret = add_notes(&core, vmo);
	if (!ret)
		ret = add_loads(&core, vmo);
	if (!ret)
		ret = write_head(&core);
	if (!ret)
		ret = write_memory(&core, vmo);
	if (!ret)
		ret = hypr_vmo_temp_commit(&core.temp);
	if (!ret && vcpus)
		*vcpus = core.nr_notes;
	hypr_vmo_temp_destroy(&core.temp);
	free(core.load);
	free(core.note);
	return ret;
}
