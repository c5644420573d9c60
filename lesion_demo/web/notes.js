options => {
  // What was said in this session, in the memory of this page alone: it goes with the page, or when it is cleared.
  const MOST = 100;
  const SIDE = 72;  // pixels, of a thumbnail
  const place = name => document.getElementById(name);
  const notes = new Map();  // by the picture's id, the oldest first
  const cleared = new Set();
  let name = '';  // of the file that waits for its answer, without a path

  const chosen = event => {
    const file = (event.target.files ?? event.dataTransfer?.files)?.[0];
    if (file && event.target.closest?.('#picture')) name = file.name;
  };
  const other = event => { if (event.target.closest?.('#examples, .capture-button, #zoom, #undo')) name = ''; };
  document.addEventListener('click', other, true);
  document.addEventListener('change', chosen, true);
  document.addEventListener('drop', chosen, true);

  const draw = (canvas, image) => {
    const scale = SIDE / Math.max(image.naturalWidth, image.naturalHeight);
    [canvas.width, canvas.height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  };
  const made = (tag, className, ...content) => {
    const element = Object.assign(document.createElement(tag), {className});
    element.append(...content);
    return element;
  };
  const line = ({kind, verdict, score, name, time, canvas}) => {
    const said = made('p', '', made('strong', '', ...verdict.map(one => one.cloneNode(true))), score && ` · ${score}`);
    const hour = time.toLocaleTimeString(options.language, {hour: '2-digit', minute: '2-digit'});
    return made('li', `toned ${kind}`, canvas, made('div', '', said, made('p', 'name', [hour, name].filter(Boolean).join(' · '))));
  };
  const show = () => {
    place('notes').querySelector('ol').replaceChildren(...[...notes.values()].reverse().map(line));
    place('notes').querySelector('.count').textContent = notes.size;
    place('notes').hidden = notes.size === 0;
  };
  // The last that was said of the picture on display, with the controls as they stand.
  const note = () => {
    if (['failed', 'empty'].includes(place('stage')?.dataset.state)) name = '';
    const {id, answered} = lesion.screen();
    if (!answered || cleared.has(id) || !place('notes')) return;
    const card = place('result').querySelector(`[data-picture="${id}"] .card:not(.warning, .error)`);
    if (!card) return;
    const [said, known] = [card.querySelector('h2'), notes.get(id)];
    const score = card.matches('.not_assessable') ? '' : card.querySelector('.bar').dataset.score;
    const canvas = known?.canvas ?? made('canvas', '');
    const image = place('heat').querySelector(`[data-picture="${id}"] figure[data-kind=picture] img`);
    if (image && !canvas.ariaHidden) {
      canvas.ariaHidden = 'true';
      const drawn = () => draw(canvas, image);
      if (image.complete) drawn();
      else image.addEventListener('load', drawn, {once: true});
    }
    if (known?.text === said.textContent && known.score === score) return;
    const found = {kind: card.classList[1], text: said.textContent, verdict: [...said.childNodes], score};
    notes.set(id, {time: new Date(), name, canvas, ...known, ...found});
    name = '';
    if (notes.size > MOST) notes.delete(notes.keys().next().value);
    show();
  };
  document.addEventListener('click', event => {
    if (!event.target.closest?.('#clear-notes')) return;
    [...notes.keys()].forEach(id => cleared.add(id));
    notes.clear();
    show();
    place('photo')?.focus();
  });
  new MutationObserver(note).observe(document.body, {childList: true, subtree: true});
}
