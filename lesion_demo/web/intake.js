options => {
  // Ways in beside Gradio's own: a photo, the keyboard's paste, and a file dropped anywhere on the page.
  const help = document.getElementById.bind(document, 'capture-help');
  const say = words => {
    if (!help()) return;
    help().dataset.hint = words ? 'trouble' : '';
    help().textContent = words;
  };
  const phone = () => matchMedia('(pointer: coarse)').matches;
  const soon = (selector, act, tries = 40) => {
    const found = document.querySelector(selector);
    if (found) act(found);
    else if (tries) setTimeout(soon, 50, selector, act, tries - 1);
  };
  // Gradio takes what the browser calls an image. DICOM it calls something else, and so does many a system HEIC and AVIF:
  // by the suffix, as on the server, such a file is one, and is called so before Gradio looks.
  const FIELD = '#picture input[type=file]';
  const unknown = file => !file.type.startsWith('image/')
    && options.suffixes.some(suffix => file.name.toLowerCase().endsWith(suffix));
  const typed = file => unknown(file) ? new File([file], file.name, {type: 'image/x-unknown'}) : file;
  const retype = (event, files) => {
    if (![...files].some(unknown)) return;
    event.preventDefault();
    event.stopPropagation();
    give('#picture', files);
  };
  document.addEventListener('change', event => {
    if (event.target.matches?.(FIELD)) retype(event, event.target.files);
  }, true);
  document.addEventListener('drop', event => {
    if (event.target.closest?.('#picture')) retype(event, event.dataTransfer?.files ?? []);
  }, true);
  document.addEventListener('click', event => {  // the system's window for files shows what the field accepts
    if (event.target.matches?.(FIELD)) event.target.accept = ['image/*', ...options.suffixes].join(',');
  }, true);
  // Gradio takes its field away while it uploads: what comes then waits for the field.
  const give = (place, files) => {
    const kept = [...files].map(typed);
    if (kept.length) soon(`${place} input[type=file]`, input => {
      const chosen = new DataTransfer();
      kept.slice(0, input.multiple ? undefined : 1).forEach(file => chosen.items.add(file));
      input.files = chosen.files;
      input.dispatchEvent(new Event('change', {bubbles: true}));
    });
  };
  const one = () => document.getElementById('stage')?.offsetParent;

  document.addEventListener('paste', event => {  // Gradio takes none that is pasted with the keyboard
    const images = [...event.clipboardData.files].filter(file => file.type.startsWith('image/'));
    if (one()) give('#picture', images);
  });
  // A browser would leave the page for a file that is dropped beside Gradio's own field.
  const carriesFiles = event => event.dataTransfer?.types.includes('Files') && !event.defaultPrevented;
  document.addEventListener('dragover', event => { if (carriesFiles(event)) event.preventDefault(); });
  document.addEventListener('drop', event => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    give(one() ? '#picture' : '#batch-files', event.dataTransfer.files);
  });

  // The phone's own camera focuses, lights and magnifies as no video in a page can; a desk's is seen in the page.
  const CAMERA = '#picture .source-selection button:nth-of-type(2)';
  const live = () => soon(CAMERA, button => {
    button.click();
    soon('#picture [title="grant webcam access"] button', access => access.click());
  });
  document.addEventListener('click', event => {
    const pressed = selector => event.target.closest?.(selector);
    if (pressed('#batch-add')) return document.querySelector('#batch-files input[type=file]')?.click();
    const shutter = document.querySelector('#picture .capture-button');
    if (pressed('#photo') && shutter) return shutter.click();  // the live picture is there already
    if (pressed('#photo') && phone()) return document.getElementById('phone-camera').click();
    if (!pressed('#photo') && !pressed('#live') && !pressed(CAMERA)) return;
    if (navigator.mediaDevices?.getUserMedia) return pressed(CAMERA) ? say('') : live();
    event.stopPropagation();
    say(phone() ? options.failures.insecure_phone : options.failures.insecure);
  }, true);
  document.addEventListener('change', event => {
    if (event.target.id !== 'phone-camera') return;
    give('#picture', event.target.files);
    event.target.value = '';  // or the same file would not come twice
  });

  // Gradio says by a key of its own, or not at all, why there is no live picture: it is left waiting, and we say it.
  const devices = navigator.mediaDevices;
  const opened = devices?.getUserMedia?.bind(devices);
  if (opened) devices.getUserMedia = async constraints => {
    try {
      return await opened(constraints);
    } catch (error) {
      const reason = {NotAllowedError: 'denied', NotFoundError: 'missing'}[error.name] ?? 'busy';
      say(options.failures[reason]);
      return new Promise(() => {});
    }
  };
}
