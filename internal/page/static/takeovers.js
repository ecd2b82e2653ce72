// The timeline of takeovers: a strip of marks, and the list of what they were, the newest first.

import { h, held, render } from './dom.js';
import { t, word } from './strings.js';
import { events, nodesOf } from './events.js';
import { clock, duration, exact, now, relative, shortClock, time } from './format.js';

const first = 8;
const signs = { Lost: 'lost', Left: 'left' };

// Takeovers is the section.
export class Takeovers {
  constructor(element) { Object.assign(this, { element, most: first, until: 0, state: null }); }

  // show brings the section in line with the state. While the reader is in the list, what is new waits behind a button.
  show(state) {
    this.state = state;
    const list = this.element.querySelector('ol');
    this.draw(Boolean(list && held(list)));
  }

  // late is whether the reader has left a list that is not whole any more.
  late() { return this.behind && !held(this.element.querySelector('ol')); }

  draw(keep) {
    const all = events(this.state.takeovers);
    if (all.length === 0) {
      render(this.element, h('p', { class: 'empty' }, t('noTakeovers')));
      return;
    }
    if (!keep) this.until = all[0].begin;
    const known = all.filter((e) => e.begin <= this.until);
    const news = all.length - known.length;
    this.behind = news > 0;
    render(this.element,
      strip(all),
      h('p', { class: 'notice', hidden: news === 0, key: 'news' }, h('button', { type: 'button', onclick: () => this.draw(false) }, t('newTakeovers', news))),
      h('ol', { class: 'timeline', key: 'list' }, known.slice(0, this.most).map(entry)),
      known.length > this.most && h('p', { key: 'older' }, h('button', { type: 'button', onclick: () => { this.most += 20; this.draw(keep); } }, t('showOlder', Math.min(20, known.length - this.most)))));
  }
}

function entry(e) {
  return h('li', { key: e.key, class: signs[e.cause] ?? 'planned' },
    h('p', { class: 'at' }, h('span', { class: 'clock' }, clock(e.time)), time(e.time, { class: 'ago' })),
    h('div', { class: 'what' },
      h('p', { class: 'sentence' }, t('takeover', nodesOf(e), e.count, e.from)),
      h('p', { class: 'detail' },
        h('span', { class: 'tag cause' }, word('cause', e.cause)), e.reason && h('span', { class: 'reason' }, e.reason),
        h('span', { class: 'took', title: e.duration > 0 ? t('interruptedTitle') : t('uninterruptedTitle') },
          e.duration > 0 ? t(e.parts.length > 1 ? 'interruptedLast' : 'interrupted', duration(e.duration)) : t('uninterrupted'))),
      e.parts.length === 1 ? which(e.parts[0])
        : h('details', null, h('summary', null, t('eachNode')), h('ul', { class: 'parts' }, e.parts.map((x) => h('li', { key: `${x.node}@${x.time}` },
          h('span', { class: 'node' }, x.node), h('span', { class: 'beside' }, x.duration > 0 ? duration(x.duration) : ''), which(x)))))));
}

const which = (x) => x.addresses?.length > 0 && h('p', { class: 'which' },
  x.addresses.slice(0, 4).map((a) => h('span', { class: 'address', key: a }, a)),
  x.count > Math.min(4, x.addresses.length) && h('span', { class: 'beside' }, t('addressesMore', x.count - Math.min(4, x.addresses.length))));

// strip shows when takeovers were, between the oldest and now.
function strip(all) {
  const end = now();
  const oldest = all[all.length - 1].time;
  const span = Math.max(end - oldest, 600e3) * 1.02;
  const most = Math.max(...all.map((x) => x.count));
  const marks = all.map((x) => {
    const at = Math.round((1 - (end - x.time) / span) * 1000);
    const tall = 8 + Math.round((x.count / most) * 24);
    return h('rect', { class: `mark ${signs[x.cause] ?? 'planned'}`, x: Math.max(0, Math.min(997, at)), y: 36 - tall, width: 3, height: tall });
  });
  return h('figure', { class: 'strip', key: 'strip' },
    h('svg', { viewBox: '0 0 1000 36', preserveAspectRatio: 'none', role: 'img', 'aria-label': t('timelineLabel', all.length, exact(oldest)) },
      h('path', { class: 'grid', d: 'M0 35.5H1000' }), marks),
    h('div', { class: 'axis', 'aria-hidden': 'true' }, h('span', null, span > 20 * 3600e3 ? relative(oldest) : shortClock(end - span)), h('span', null, t('chartNow'))));
}
