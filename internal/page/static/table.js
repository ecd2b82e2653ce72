// What all tables share: headers that sort, and pages. A narrow window shows each row as a card; so that it stays a table
// for screen readers then, roles are said.

import { h } from './dom.js';
import { t } from './strings.js';

// table describes one. Columns are {id, title, sortable}, rows are the descriptions that row makes.
export function table({ caption, columns, sort, onSort, rows, total, className }) {
  return h('table', { role: 'table', class: className, 'aria-rowcount': total === undefined ? null : String(total + 1) },
    h('caption', { class: 'unseen' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row', 'aria-rowindex': total === undefined ? null : '1' }, columns.map((c) => header(c, sort, onSort)))),
    h('tbody', { role: 'rowgroup' }, rows));
}

function header(column, sort, onSort) {
  const order = sort?.by === column.id ? (sort.down ? 'descending' : 'ascending') : null;
  return h('th', { role: 'columnheader', scope: 'col', key: column.id, class: `of-${column.id}`, 'aria-sort': order },
    column.sortable
      ? h('button', { type: 'button', class: 'sort', onclick: () => onSort({ by: column.id, down: order === 'ascending' }) },
        column.title, h('span', { class: 'arrow', 'aria-hidden': 'true' }, order === 'ascending' ? '▲' : order === 'descending' ? '▼' : '↕'))
      : column.content ?? column.title);
}

// row describes one. Cells are in the order of the columns; the first one names the row.
export function row({ key, index, columns, cells, className }) {
  return h('tr', { role: 'row', key, class: className, 'aria-rowindex': index === undefined ? null : String(index + 2) },
    columns.map((c, i) => (i === 0
      ? h('th', { role: 'rowheader', scope: 'row', class: `of-${c.id}` }, cells[i])
      : h('td', { role: 'cell', class: `of-${c.id}`, 'data-label': c.title }, h('div', { class: 'value' }, cells[i])))));
}

// pager describes the way through pages. page counts from 0.
export function pager({ page, size, total, onPage }) {
  const last = Math.max(0, Math.ceil(total / size) - 1);
  if (last === 0) return null;
  // aria-disabled leaves the focus where it is when the last page is reached.
  const button = (to, text) => h('button', { type: 'button', 'aria-disabled': to < 0 || to > last ? 'true' : null, onclick: () => { if (to >= 0 && to <= last) onPage(to); } }, text);
  return h('nav', { class: 'pager', 'aria-label': t('pages'), key: 'pager' },
    button(page - 1, t('previous')),
    h('span', { class: 'range' }, t('range', page * size + 1, Math.min(total, (page + 1) * size), total)),
    button(page + 1, t('next')));
}

// natural is a text as it sorts: each number in it has its length before it, so that 9 comes before 10.
export const natural = (text) => text.toLowerCase().replace(/\d+/g, (d) => String.fromCharCode(48 + Math.min(d.length, 60)) + d);

// numeric is an IP address as it sorts, IPv4 first.
export function numeric(address) {
  if (!address) return '9';
  if (!address.includes(':')) return `4${address.split('.').map((b) => b.padStart(3, '0')).join('.')}`;
  const [head, tail] = address.split('::');
  const groups = (text) => (text ? text.split(':') : []);
  const [a, b] = [groups(head), groups(tail)];
  const all = tail === undefined ? a : [...a, ...Array(Math.max(0, 8 - a.length - b.length)).fill('0'), ...b];
  return `6${all.map((g) => g.padStart(4, '0')).join(':')}`;
}
