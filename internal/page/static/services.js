// The Services: a filter, and a page of rows at a time.

import { h, held, measured, render } from './dom.js';
import { t, word } from './strings.js';
import { badge, lines, time } from './format.js';
import { pager, row, table } from './table.js';
import { choices, fields, modeWords, select } from './filter.js';
import { routed, unanswered } from './findings.js';

const size = 25;
const signs = { assigned: 'ok', partial: 'half', pending: 'wait' };

// Services is the section. onFilter is called when the reader has changed the filter, with a text to announce.
export class Services {
  constructor(filterElement, bodyElement, onFilter) {
    Object.assign(this, { filterElement, bodyElement, onFilter, filter: {}, sort: { by: 'status', down: false }, page: 0, shown: null, state: null });
  }

  // show brings the section in line with the state. While the reader is in the rows, they stay where they are.
  show(state) {
    this.state = state;
    this.chosen = select(state, this.filter, this.sort);
    const body = this.bodyElement.querySelector('tbody');
    this.keep = Boolean(this.shown && body && held(body));
    this.draw();
  }

  // late is whether the reader has left rows that are not in order any more.
  late() { return this.stale && !held(this.bodyElement.querySelector('tbody')); }

  // set takes a filter over, as the page's address has it.
  set(filter) {
    this.filter = Object.fromEntries(fields.filter((f) => filter[f]).map((f) => [f, filter[f]]));
    this.page = 0;
    this.again();
  }

  again() {
    if (!this.state) return;
    measured('filter', () => {
      this.chosen = select(this.state, this.filter, this.sort);
      this.keep = false;
      this.draw();
    });
  }

  edit(field, value) {
    this.filter = { ...this.filter, [field]: value };
    if (!value) delete this.filter[field];
    this.page = 0;
    this.again();
    this.onFilter(this.countText());
  }

  countText() {
    return Object.keys(this.filter).length === 0 ? t('countAll', this.chosen.length) : t('countSome', this.chosen.length, this.state.services.size);
  }

  draw() {
    this.drawFilter();
    if (this.state.services.size === 0) {
      render(this.bodyElement, h('p', { class: 'empty' }, t('noServices')));
      return;
    }
    this.page = Math.max(0, Math.min(this.page, Math.ceil(this.chosen.length / size) - 1));
    const now = this.chosen.slice(this.page * size, (this.page + 1) * size).map(keyOf);
    if (!this.keep) this.shown = now;
    this.stale = this.keep && now.join('\n') !== this.shown.join('\n');
    const columns = this.columns();
    this.last ??= new Map();
    const last = new Map();
    const rows = this.shown.map((key, i) => {
      const service = this.state.services.get(key);
      last.set(key, service ?? this.last.get(key));
      return this.row(key, last.get(key), service === undefined, this.page * size + i, columns);
    });
    this.last = last;
    render(this.bodyElement,
      h('div', { class: 'notice', hidden: !this.stale, key: 'notice' }, h('span', null, t('heldBack')), h('button', { type: 'button', onclick: () => this.again() }, t('showNow'))),
      this.chosen.length === 0 && rows.length === 0 ? h('p', { class: 'empty', key: 'none' }, t('noMatch')) : table({
        caption: t('servicesCaption'), columns, sort: this.sort, rows, total: this.chosen.length, className: 'services',
        onSort: (sort) => { this.sort = sort; this.page = 0; this.again(); },
      }),
      pager({ page: this.page, size, total: this.chosen.length, onPage: (page) => { this.page = page; this.again(); } }));
  }

  drawFilter() {
    const offered = choices(this.state);
    const choice = (field, title, options) => h('label', { key: field }, h('span', null, title),
      h('select', { id: `filter-${field}`, value: this.filter[field] ?? '', onchange: (e) => this.edit(field, e.target.value) },
        h('option', { value: '', key: '' }, t('any')),
        // What the address of the page names may be gone, or not there yet.
        [...new Set([...options, this.filter[field]].filter(Boolean))].map((o) => h('option', { value: o, key: o }, field === 'status' ? word('status', o) : o))));
    render(this.filterElement,
      h('label', { class: 'wide', key: 'q' }, h('span', null, t('search')),
        h('input', { id: 'search', type: 'search', value: this.filter.q ?? '', placeholder: t('searchHint'), title: t('searchKey'), 'aria-keyshortcuts': '/',
          autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', oninput: (e) => this.edit('q', e.target.value) })),
      choice('status', t('status'), ['assigned', 'partial', 'pending', 'unanswered']),
      choice('namespace', t('namespace'), offered.namespace), choice('pool', t('pool'), offered.pool), choice('node', t('node'), offered.node),
      h('p', { class: 'count', key: 'count' }, this.countText(), ' ',
        h('button', { type: 'button', id: 'clear', hidden: Object.keys(this.filter).length === 0, onclick: () => this.clear() }, t('clear'))));
  }

  clear() {
    this.filter = {};
    this.page = 0;
    this.again();
    this.onFilter(this.countText());
    this.filterElement.querySelector('#search').focus();
  }

  columns() {
    return [['service', t('service')], ['address', t('address')], ['pool', t('pool')], ['mode', t('mode')], ['owner', t('owner')], ['status', t('status')], ['age', t('age')]]
      .map(([id, title]) => ({ id, title, sortable: true }));
  }

  row(key, s, gone, index, columns) {
    const addresses = s.addresses ?? [];
    const quiet = addresses.length > 0 && addresses.some((a) => unanswered(this.state, a));
    return row({
      key, index, columns, className: gone ? 'gone' : s.status,
      cells: [
        [h('span', { class: 'namespace' }, `${s.namespace}/`), h('span', { class: 'name' }, s.name)],
        addresses.length > 0 ? addresses.map((a) => h('div', { class: 'one address' }, a.address)) : h('span', { class: 'nothing dash' }, '–'),
        addresses.length > 0 ? lines(addresses.map((a) => a.pool || '–')) : h('span', { class: 'nothing dash' }, '–'),
        addresses.length > 0 ? [lines(addresses.map((a) => modeWords(a) || t('notAdvertised'))), s.local && [' ', h('span', { class: 'tag', title: t('localTitle') }, t('local'))]]
          : h('span', { class: 'nothing dash' }, '–'),
        addresses.length > 0 ? this.owners(addresses) : h('span', { class: 'nothing dash' }, '–'),
        gone ? badge('note', t('gone')) : [
          badge(signs[s.status], word('status', s.status)),
          quiet && badge('warning', t('status.unanswered')),
          s.status !== 'assigned' && h('p', { class: 'why' }, s.reason && h('strong', null, s.reason), s.reason && s.message && ': ', s.message),
        ],
        time(s.since || s.created),
      ],
    });
  }

  owners(addresses) {
    const texts = addresses.map((a) => this.owner(a));
    const same = texts.every((x) => JSON.stringify(x.id) === JSON.stringify(texts[0].id));
    return (same ? texts.slice(0, 1) : texts).map((x) => h('div', { class: 'one' }, x.content));
  }

  owner(a) {
    const nodes = routed(this.state, a);
    const parts = [];
    if (a.owner) parts.push(h('span', { class: 'node' }, a.owner));
    else if (a.unlisted) parts.push(h('span', { class: 'nothing', title: t('unlistedTitle') }, t('unlisted')));
    else if (a.layer2) parts.push(h('span', { class: 'nothing' }, t('nobody')));
    if (a.routes?.length > 0) parts.push(h('span', { class: 'via' }, t('viaNodes', nodes)));
    if (a.standIn) parts.push(h('span', { class: 'beside' }, t('standIn', a.standIn)));
    if (a.from) parts.push(h('span', { class: 'beside' }, t('movedFrom', a.from), ' ', time(a.since)));
    return { id: [a.owner, a.unlisted, a.layer2, nodes, a.routes?.length > 0, a.standIn, a.from], content: parts };
  }
}

const keyOf = (s) => `${s.namespace}/${s.name}`;
